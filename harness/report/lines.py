"""Results as JSON, one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from harness.catalogue import named
from harness.report.origin import kernel_of, version_of
from harness.results import Row
from harness.wideners import widener_of


def json_line(row: Row) -> str:
    """One result. Its keys are an interface: other programs read them."""
    return json.dumps(
        {
            "case": row.case_id,
            "scenario": row.scenario,
            "attack": row.attack,
            "catalogue": list(row.catalogue),
            "classes": named(row.catalogue),
            "variant": row.variant,
            "widener": widener_of(row.variant),
            "backend": row.backend,
            "arch": row.arch,
            "kernel": row.kernel,
            "place": row.place,
            "version": version_of(row),
            "release": kernel_of(row),
            "isolation": row.isolation,
            "verdict": row.verdict,
            "expected": row.expected,
            "as_expected": row.as_expected,
            "known": row.weakness,
            "reason": row.reason,
            "attempts": row.attempts,
            "wins": row.wins,
            "bound": row.bound,
            "seconds": row.seconds,
            "provenance": asdict(row.provenance) if row.provenance else None,
        }
    )


def json_lines(rows: Iterable[Row]) -> str:
    """All results."""
    return "".join(json_line(row) + "\n" for row in rows)

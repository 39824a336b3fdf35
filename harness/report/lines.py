"""Results as JSON, one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable

from harness.results import Row


def json_line(row: Row) -> str:
    """One result. Its keys are an interface: other programs read them."""
    return json.dumps(
        {
            "scenario": row.scenario,
            "attack": row.attack,
            "catalogue": list(row.catalogue),
            "backend": row.backend,
            "arch": row.arch,
            "kernel": row.kernel,
            "place": row.place,
            "verdict": row.verdict,
            "reason": row.reason,
            "attempts": row.attempts,
            "wins": row.wins,
            "bound": row.bound,
            "seconds": row.seconds,
        }
    )


def json_lines(rows: Iterable[Row]) -> str:
    """All results."""
    return "".join(json_line(row) + "\n" for row in rows)

"""A summary in Markdown, as forges show it beside a run (GITHUB_STEP_SUMMARY)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.report.matrix import SEVERITY, SHORT, Cell, matrix
from harness.report.origin import origin, seen
from harness.results import Campaign, Row

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def markdown(rows: Sequence[Row], campaigns: Sequence[Campaign]) -> str:
    """Counts, what is not as expected, the matrix, and where it comes from."""
    unexpected = [row for row in rows if not row.as_expected]
    shown = matrix(rows)
    lines = [f"**{len(rows)} cases, {len(unexpected)} not as expected**", ""]
    for row in unexpected:
        wanted = f"bypassed ({row.weakness})" if row.weakness else row.expected
        reason = row.reason.partition("\n")[0]
        lines.append(_plain(f"{row.case_id}: {row.verdict} instead of {wanted}: {reason}"))
        lines[-1] = f"- {lines[-1]}"
    columns = ("attack", "catalogue", *shown.columns)
    lines += ["", _line(columns), _line(["---"] * len(columns))]
    for line in shown.lines:
        cells = [_cell(line.cells.get(column)) for column in shown.columns]
        lines.append(_line([_plain(line.name), " ".join(line.catalogue), *cells]))
    facts = [pair for campaign in campaigns for pair in origin(campaign)] + [*seen(rows)]
    lines += ["", *(f"- {name}: {_plain(value)}" for name, value in facts)]
    return "\n".join(lines) + "\n"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    kinds = [f"{SHORT[kind]} x{cell.counts[kind]}" for kind in SEVERITY if cell.counts[kind]]
    return ("" if cell.as_expected else "**!** ") + ", ".join(kinds)


def _line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"


def _plain(text: str) -> str:
    """Nothing in it is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))

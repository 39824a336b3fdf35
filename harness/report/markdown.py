"""A summary in Markdown, as forges show it beside a run (GITHUB_STEP_SUMMARY)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.report.matrix import SEVERITY, SHORT, Cell, matrix, surprises
from harness.report.origin import origin, seen
from harness.results import Campaign, Row

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def markdown(rows: Sequence[Row], campaigns: Sequence[Campaign]) -> str:
    """Counts, what is not as expected, the matrix, and where it comes from."""
    unexpected = sum(not row.as_expected for row in rows)
    shown = matrix(rows)
    lines = [f"**{len(rows)} cases, {unexpected} not as expected**", ""]
    for found in surprises(rows):
        reason = found.reason.partition("\n")[0]
        cases = ", ".join(row.case_id for row in found.rows)
        said = f"{cases}: {found.verdict} instead of {found.wanted}: {reason}"
        lines.append(f"- {_plain(said)}")
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

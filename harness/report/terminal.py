"""The matrix on a terminal, with counts and a legend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.catalogue import named, order
from harness.model import VerdictKind
from harness.odds import percent
from harness.report.matrix import LEAKY, MEANING, SEVERITY, SHORT, Cell, matrix
from harness.report.origin import isolations, origin
from harness.results import Campaign, Row

STYLE = {
    VerdictKind.HELD: "green",
    VerdictKind.BYPASSED: "bold red",
    VerdictKind.OVERBLOCKED: "bold magenta",
    VerdictKind.UNLOGGED: "bold yellow",
    VerdictKind.NOT_ENFORCING: "bold red",
    VerdictKind.INEXPRESSIBLE: "dim",
    VerdictKind.INAPPLICABLE: "dim",
    VerdictKind.BROKEN: "bold white on red",
}


WIDTH_OF_FILES = 200


def console(*, stderr: bool = False) -> Console:
    """A console that does not fold its lines at 80 columns when nobody looks."""
    found = Console(stderr=stderr)
    if not found.is_terminal:
        found.width = WIDTH_OF_FILES
    return found


def print_matrix(to: Console, rows: Sequence[Row]) -> None:
    """Attacks and commands against backends; `!` marks what was not expected."""
    shown = matrix(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("attack")
    table.add_column("catalogue")
    for column in shown.columns:
        table.add_column(column)
    for line in shown.lines:
        cells = [_cell(line.cells.get(column), column) for column in shown.columns]
        table.add_row(line.name, " ".join(line.catalogue), *cells)
    to.print(table)
    _print_legend(to, rows)


def _cell(cell: Cell | None, column: str) -> Text:
    if cell is None:
        return Text("·", style="dim")
    text = Text()
    counts = cell.counts
    for kind in SEVERITY:
        if kind in counts:
            separator = " " if text else ""
            times = f" x{counts[kind]}" if len(cell.rows) > 1 else ""
            expected = column == LEAKY and kind is VerdictKind.BYPASSED
            style = "green" if expected and cell.as_expected else STYLE[kind]
            if cell.as_expected and kind is VerdictKind.BYPASSED and not expected:
                style = "yellow"
            text.append(f"{separator}{SHORT[kind]}{times}", style=style)
    if cell.as_expected and column != LEAKY and VerdictKind.BYPASSED in counts:
        text.append(" known" if cell.known else " as expected", style="dim")
    if cell.wins and cell.attempts > len(cell.rows):
        text.append(f" {cell.wins}/{cell.attempts}", style="dim")
    elif cell.bound is not None:
        text.append(f" <{percent(cell.bound)}", style="dim")
    if not cell.as_expected:
        text.append(" !", style="bold red")
    return text


def _print_legend(to: Console, rows: Sequence[Row]) -> None:
    counts = Counter(VerdictKind(row.verdict) for row in rows)
    to.print()
    for kind in SEVERITY:
        if counts[kind]:
            line = Text(f"{counts[kind]:6}  ")
            line.append(f"{SHORT[kind]:12}", style=STYLE[kind])
            line.append(MEANING[kind])
            to.print(line)
    if any(row.bound is not None for row in rows):
        to.print("        <x%          one-sided 95 % upper bound of a race's win rate, rounded up")
    if any(row.wins for row in rows):
        to.print("        w/a          wins in attempts")
    cited = sorted({id for row in rows for id in row.catalogue}, key=order)
    if cited:
        to.print(f"        {cited[0]:12} a class of the catalogue: harness explain {cited[0]}")


def print_unexpected(to: Console, rows: Sequence[Row]) -> None:
    """One paragraph for each result that contradicts its scenario."""
    for row in rows:
        if not row.as_expected:
            wanted = f"bypassed ({row.weakness})" if row.weakness else row.expected
            to.print(
                Text.assemble(
                    (row.verdict, STYLE[VerdictKind(row.verdict)]),
                    f" instead of {wanted}: ",
                    (row.case_id, "bold"),
                )
            )
            for name in named(row.catalogue):
                to.print(Text(f"    {name}: harness explain {name.partition(' ')[0]}"))
            first, *more = row.reason.splitlines() or [""]
            to.print(Text(f"    {first}"), soft_wrap=True)
            if more:
                to.print(f"    ({len(more)} more lines: harness explain {row.scenario})")


def print_origin(to: Console, rows: Sequence[Row], campaigns: Sequence[Campaign]) -> None:
    """Where results come from: when, which tree, which machine, and how runs were walled in."""
    to.print()
    for campaign in campaigns:
        for name, value in origin(campaign):
            to.print(Text(f"{name:9}  {value}"), soft_wrap=True)
    to.print(Text(f"{'isolation':9}  {isolations(rows)}"), soft_wrap=True)

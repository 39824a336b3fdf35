"""The matrix on a terminal, with counts and a legend."""

from __future__ import annotations

import os
import re
import textwrap
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.catalogue import named, order
from harness.model import VerdictKind
from harness.odds import percent
from harness.report.matrix import LEAKY, MEANING, SEVERITY, SHORT, Cell, Matrix, matrix, surprises
from harness.report.origin import origin, seen
from harness.report.wideners import widened
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

MARKS = {
    r" x\d": ("xN", "so many cases: variants, ways and ABIs of the attack"),
    r" <": ("<x%", "a race is won less often (one-sided 95 % upper bound)"),
    r" \d+/\d+": ("w/a", "wins in attempts"),
    r" known": ("known", "a weakness that the scenario names"),
    r" as expected": ("as expected", "the scenario says that this backend loses"),
    r"!": ("!", "not what the scenario expects"),
}
"""What stands beside verdicts, and what it means."""

WIDTH_OF_FILES = 200
SHOWN_ALIKE = 5
"""Of the results that contradict their scenarios for one reason, so many are named."""
_UNLIMITED = 10_000
INDENT = 4
BETWEEN = "   "


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, also where a pipe leads to one; files get long lines."""
    found = Console(stderr=stderr)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = next(map(_columns, filter(os.isatty, (2, 0))), WIDTH_OF_FILES)
    return found


def _columns(descriptor: int) -> int:
    return os.get_terminal_size(descriptor).columns or WIDTH_OF_FILES


def folded(text: str, first: str = "", rest: str | None = None) -> str:
    """A paragraph at the console's width: `first` before its first line, `rest` before the others
    (by default as many spaces and four). What has no room, like a case's id, stays whole.
    """
    indent = " " * (len(first) + INDENT) if rest is None else rest
    return textwrap.fill(
        text,
        console().width,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_results(to: Console, rows: Sequence[Row], campaigns: Sequence[Campaign]) -> None:
    """The matrix, the wideners, what is not as expected, the origin, and a summary."""
    print_matrix(to, rows)
    print_wideners(to, rows)
    print_unexpected(to, rows)
    print_origin(to, rows, campaigns)
    _print_summary(to, rows)


def print_matrix(to: Console, rows: Sequence[Row]) -> None:
    """Attacks and commands against backends; `!` marks what was not expected.

    Where a table is wider than the console, each attack has a paragraph: names are never cut.
    """
    shown = matrix(rows)
    table = _table(shown)
    if table.__rich_measure__(to, to.options.update(max_width=_UNLIMITED)).maximum > to.width:
        _print_paragraphs(to, shown)
    else:
        to.print(table)
    _print_legend(to, shown, rows)


def _table(shown: Matrix) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("attack", no_wrap=True)
    table.add_column("catalogue", no_wrap=True)
    for column in shown.columns:
        table.add_column(column, no_wrap=True)
    for line in shown.lines:
        cells = [
            _cell(line.cells.get(column), column) or Text("·", style="dim")
            for column in shown.columns
        ]
        table.add_row(line.name, " ".join(line.catalogue), *cells)
    return table


def _print_paragraphs(to: Console, shown: Matrix) -> None:
    for line in shown.lines:
        to.print(Text.assemble((line.name, "bold"), f"  {' '.join(line.catalogue)}".rstrip()))
        written = Text()
        for column in shown.columns:
            cell = _cell(line.cells.get(column), column)
            if not cell:
                continue
            part = Text.assemble(f"{column} ", cell)
            if written and len(written) + len(BETWEEN) + len(part) > to.width:
                to.print(written)
                written = Text()
            written = Text.assemble(written, BETWEEN if written else " " * INDENT, part)
        to.print(written)


def _cell(cell: Cell | None, column: str) -> Text:
    text = Text()
    if cell is None:
        return text
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


def _print_legend(to: Console, shown: Matrix, rows: Sequence[Row]) -> None:
    """What stands in the matrix, and nothing else."""
    counts = Counter(VerdictKind(row.verdict) for row in rows)
    legend = Table.grid(padding=(0, 2))
    for kind in SEVERITY:
        if counts[kind]:
            legend.add_row(f"{counts[kind]:6}", Text(SHORT[kind], STYLE[kind]), MEANING[kind])
    cells = [(cell, column) for line in shown.lines for column, cell in line.cells.items()]
    texts = [_cell(cell, column).plain for cell, column in cells]
    for mark, (sign, meaning) in MARKS.items():
        if any(re.search(mark, text) for text in texts):
            legend.add_row("", sign, meaning)
    cited = sorted({id for row in rows for id in row.catalogue}, key=order)
    if cited:
        said = f"a class of the catalogue: harness explain {cited[0]}"
        legend.add_row("", cited[0], said)
    to.print()
    to.print(legend)


def print_wideners(to: Console, rows: Sequence[Row]) -> None:
    """Which widener won how often, where there was one."""
    found = widened(rows)
    if not found:
        return
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for column in ("race", "widener", "backend", "wins in attempts, 95 % interval"):
        table.add_column(column)
    for won in found:
        table.add_row(won.attack, won.widener, won.backend, Text(won.result))
    to.print()
    to.print(table)


def print_unexpected(to: Console, rows: Sequence[Row]) -> None:
    """One paragraph for the results that contradict their scenarios alike."""
    for found in surprises(rows):
        first, *others = (row.case_id for row in found.rows)
        said = f" instead of {found.wanted}: "
        to.print(Text.assemble((found.verdict, STYLE[found.verdict]), said, (first, "bold")))
        for case in others[: SHOWN_ALIKE - 1]:
            to.print(Text(f"    {case}", "bold"))
        if len(others) >= SHOWN_ALIKE:
            to.print(f"    and {len(others) - SHOWN_ALIKE + 1} more, for the same reason:")
        for name in named(found.catalogue):
            to.print(Text(f"    {name}: harness explain {name.partition(' ')[0]}"))
        line, *more = found.reason.splitlines() or [""]
        to.print(Text(f"    {line}"), soft_wrap=True)
        if more:
            left = f"{len(more)} more line{'s' * (len(more) > 1)}"
            to.print(f"    ({left}: harness explain {found.rows[0].scenario})")


def _print_summary(to: Console, rows: Sequence[Row]) -> None:
    unexpected = [row for row in rows if not row.as_expected]
    known = sum(1 for row in rows if row.as_expected and row.weakness)
    line = Text(f"\n{len(rows)} case{'s' * (len(rows) != 1)}: ", style="bold")
    line.append(f"{len(rows) - len(unexpected)} as expected", style="green")
    if known:
        line.append(f" ({known} known weakness{'es' * (known != 1)})")
    if unexpected:
        line.append(f", {len(unexpected)} not", style="bold red")
    to.print(line)
    shown = (unexpected or rows)[0]
    to.print(f"why:   harness explain {shown.scenario}", highlight=False, soft_wrap=True)
    to.print("page:  harness report -o matrix.html", highlight=False)


def print_origin(to: Console, rows: Sequence[Row], campaigns: Sequence[Campaign]) -> None:
    """Where results come from: when, which tree, which machine, and how runs were walled in."""
    to.print()
    for campaign in campaigns:
        for name, value in origin(campaign):
            to.print(Text(f"{name:9}  {value}"), soft_wrap=True)
    for name, value in seen(rows):
        to.print(Text(f"{name:9}  {value}"), soft_wrap=True)

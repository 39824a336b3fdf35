"""`harness defences`: which defence stops which attack, as a table."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click
from rich.table import Table
from rich.text import Text

from harness.bench.defences import Cost, costs
from harness.bench.measure import BenchError
from harness.build import BuildError
from harness.campaign import Ablation, Pool, ablation_of, carry_out_settings
from harness.cli import Status, UserError
from harness.cli.load import chosen_targets, laboratory, selection
from harness.cli.names import complete_scenarios
from harness.cli.progress import Counted, Shown, progress
from harness.defences import MECHANISMS, SETTINGS, Line, has_broken, lines, was_ended
from harness.model import Result, VerdictKind
from harness.places.choice import Driver, Wish
from harness.report.defences import defences_table
from harness.report.defences_plot import defences_page
from harness.report.lines import json_line
from harness.report.matrix import SEVERITY, SHORT
from harness.report.terminal import STYLE, console
from harness.results import row_of
from harness.workers import pool

BROKEN = Counted(word="broken", holds_for=lambda row: not row.as_expected)
"""A setting may well lose: that is what the table is to tell."""


@click.command("defences")
@click.option(
    "--keyword",
    "-k",
    "keywords",
    shell_complete=complete_scenarios,
    multiple=True,
    metavar="TEXT",
    help="Only cases whose id or attack has this text, or one of 'TEXT or TEXT'; repeated: all.",
)
@click.option("--attempts", type=click.IntRange(min=1), help="Attempts per race.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one JSON object a line; `defences` are those that were on.",
)
@click.option(
    "--markdown",
    is_flag=True,
    help="The tables for docs/measurements.md, with 95 % intervals and the time that a win takes.",
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page with the tables, and with win rates and costs drawn.",
)
@click.option(
    "--costs", "with_costs", is_flag=True, help="Time each setting too, for some minutes."
)
def command(
    keywords: tuple[str, ...],
    attempts: int | None,
    json_file: Path | None,
    markdown: bool,
    html_file: Path | None,
    with_costs: bool,
) -> NoReturn:
    """Run attacks against ptrace and notify with all defences, one off, one alone, and none.

    `ended` means that an interference was detected and the target killed. With --costs it is timed,
    for each setting, how long open+close of a name and a build take, in times of bare. Exit status:
    0; 1 if an attack gets past all defences together; 3 if something broke, which too few attempts
    for a verdict, or a killed target, do not mean.
    """
    lab = laboratory()
    (target,) = chosen_targets(Wish(driver=Driver.NONE))
    chosen = selection((), keywords, target)
    wanted = ablation_of(lab.scenarios, lab.attacks, chosen, attempts=attempts)
    if not wanted.jobs:
        raise UserError("no case is selected; `harness list cases` shows what there is")
    with progress(console(stderr=True), len(wanted.jobs), BROKEN) as shown:
        results = _carry_out(wanted, shown)
    if json_file is not None:
        json_file.write_text("".join(map(_json, results)), encoding="utf-8")
    found = {
        mechanism: lines([each for each in results if each.case.backend == mechanism], lab.attacks)
        for mechanism in MECHANISMS
    }
    timed = _timed() if with_costs else ()
    for mechanism, of_it in found.items():
        mine = [cost for cost in timed if cost.setting.mechanism == mechanism]
        if of_it and markdown:
            click.echo(defences_table(of_it, mechanism, mine))
        elif of_it:
            _print(of_it, mechanism, mine)
    click.echo(f"load average {' '.join(f'{load:.1f}' for load in os.getloadavg())}")
    if html_file is not None:
        page = defences_page(found, timed, "Which defence stops which attack")
        html_file.write_text(page, encoding="utf-8")
    sys.exit(_status(results))


def _status(results: Sequence[Result]) -> Status:
    broken = [each for each in results if has_broken(each)]
    for each in broken:
        click.echo(f"broken: {each.case.id}: {each.verdict.reason}", err=True)
    if broken:
        return Status.BROKEN
    sound = [each for each in results if each.case.defences == SETTINGS[0].on]
    lost = any(
        each.verdict.kind is not VerdictKind.BROKEN and not each.as_expected for each in sound
    )
    return Status.UNEXPECTED if lost else Status.EXPECTED


def _timed() -> tuple[Cost, ...]:
    try:
        return tuple(costs(SETTINGS))
    except (BenchError, BuildError) as error:
        raise UserError(str(error)) from None


def _carry_out(wanted: Ablation, shown: Shown) -> list[Result]:
    workers = os.cpu_count() or 1
    results: list[Result] = []

    def show(result: Result) -> None:
        shown.take(replace(row_of(result), as_expected=not has_broken(result)))

    def take(result: Result) -> None:
        results.append(result)
        show(result)

    carry_out_settings(
        wanted.jobs,
        wanted.leaky,
        Pool(start=pool(workers, shown.address), workers=workers),
        take,
        measured_aside=show,
        expect=shown.expect,
    )
    return results


def _json(result: Result) -> str:
    on = ",".join(sorted(result.case.defences or ()))
    return f'{json_line(row_of(result))[:-1]}, "defences": "{on}"}}\n'


def _print(found: Sequence[Line], mechanism: str, timed: Sequence[Cost]) -> None:
    settings = [setting for setting in SETTINGS if setting.mechanism == mechanism]
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.title = mechanism
    for column in ("attack", "catalogue", *(setting.label for setting in settings)):
        table.add_column(column)
    for line in found:
        cells = [_cell(line.cells.get(setting, ())) for setting in settings]
        table.add_row(line.attack.id, " ".join(line.attack.catalogue), *cells)
    for row in dict.fromkeys(cost.row for cost in timed):
        ratios = {cost.setting: f"{cost.median:.2f}" for cost in timed if cost.row == row}
        table.add_row(row, "times bare", *(ratios.get(setting, "·") for setting in settings))
    console().print(table)


def _cell(results: Sequence[Result]) -> Text:
    if not results:
        return Text("·", style="dim")
    kinds = {result.verdict.kind for result in results}
    worst = next(kind for kind in SEVERITY if kind in kinds)
    text = Text(SHORT[worst], style=STYLE[worst])
    if worst is VerdictKind.HELD and any(map(was_ended, results)):
        text.append(" ended", style="dim")
    wins = sum(result.verdict.wins for result in results)
    attempts = sum(result.verdict.attempts for result in results)
    if wins and attempts > len(results):
        text.append(f" {wins}/{attempts}", style="dim")
    return text

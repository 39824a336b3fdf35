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

from harness.campaign import Pool, carry_out_settings, jobs_of
from harness.cases import EVERY_LEAKY, attempts_of, most_attempts
from harness.cli import Status, UserError
from harness.cli.load import chosen_targets, laboratory, selection
from harness.cli.names import complete_scenarios
from harness.cli.progress import Shown, progress
from harness.defences import MECHANISMS, SETTINGS, Line, cases, lines
from harness.model import Result, VerdictKind
from harness.places.choice import Driver, Wish
from harness.report.defences import defences_table, was_ended
from harness.report.lines import json_line
from harness.report.matrix import SEVERITY, SHORT
from harness.report.terminal import STYLE, console
from harness.results import row_of
from harness.runner import Job
from harness.workers import end_workers, pool


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
def command(
    keywords: tuple[str, ...], attempts: int | None, json_file: Path | None, markdown: bool
) -> NoReturn:
    """Run attacks against ptrace and notify with all defences, one off, one alone, and none.

    `ended` means that an interference was detected and the target killed. Exit status: 0; 1 if an
    attack gets past all defences together; 3 if something broke.
    """
    lab = laboratory()
    (target,) = chosen_targets(Wish(driver=Driver.NONE))
    chosen = replace(selection((), keywords, target), abis=target.here[:1])
    jobs = []
    for case in cases(lab.scenarios, lab.attacks, chosen):
        attack = lab.attacks[case.scenario.attack or ""]
        tries = attempts_of(case, attack, asked=attempts, quick=True)
        most = most_attempts(case, attack, asked=attempts)
        jobs.append(Job(case=case, attack=attack, attempts=tries, most=most))
    leaky = jobs_of(
        lab.scenarios,
        lab.attacks,
        replace(selection((EVERY_LEAKY,), (), target), abis=target.here[:1]),
        attempts=attempts,
        quick=True,
    )
    if not jobs:
        raise UserError("no case is selected; `harness list cases` shows what there is")
    with progress(console(stderr=True), len(jobs)) as shown:
        results = _carry_out(jobs, leaky, shown)
    if json_file is not None:
        json_file.write_text("".join(map(_json, results)), encoding="utf-8")
    for mechanism in MECHANISMS:
        of_it = [result for result in results if result.case.backend == mechanism]
        if of_it and markdown:
            click.echo(defences_table(lines(of_it, lab.attacks), mechanism))
        elif of_it:
            _print(lines(of_it, lab.attacks), mechanism)
    if any(result.verdict.kind is VerdictKind.BROKEN for result in results):
        sys.exit(Status.BROKEN)
    sound = [result for result in results if result.case.defences == SETTINGS[0].on]
    expected = all(result.as_expected for result in sound)
    sys.exit(Status.EXPECTED if expected else Status.UNEXPECTED)


def _carry_out(jobs: Sequence[Job], leaky: Sequence[Job], shown: Shown) -> list[Result]:
    workers = os.cpu_count() or 1
    results: list[Result] = []

    def take(result: Result) -> None:
        results.append(result)
        is_broken = result.verdict.kind is VerdictKind.BROKEN
        shown.take(replace(row_of(result), as_expected=not is_broken))

    try:
        carry_out_settings(
            jobs,
            leaky,
            Pool(start=pool(workers, shown.address), workers=workers),
            take,
            measured_aside=lambda result: shown.take(row_of(result)),
            expect=shown.expect,
        )
    except KeyboardInterrupt:
        end_workers()
        raise
    return results


def _json(result: Result) -> str:
    on = ",".join(sorted(result.case.defences or ()))
    return f'{json_line(row_of(result))[:-1]}, "defences": "{on}"}}\n'


def _print(found: Sequence[Line], mechanism: str) -> None:
    settings = [setting for setting in SETTINGS if setting.mechanism == mechanism]
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.title = mechanism
    for column in ("attack", "catalogue", *(setting.label for setting in settings)):
        table.add_column(column)
    for line in found:
        cells = [_cell(line.cells.get(setting, ())) for setting in settings]
        table.add_row(line.attack.id, " ".join(line.attack.catalogue), *cells)
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

"""`harness bench races`: how soon each race wins from its leaky backends."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import replace
from typing import NoReturn

import click

from enforcer.policy.problem import PolicyError
from harness.bench.measure import bound
from harness.bench.races import FirstWins, first_wins, race_jobs
from harness.build import BuildError
from harness.cli import Status, UserError
from harness.cli.load import chosen_targets, laboratory, selection
from harness.cli.names import complete_scenarios
from harness.places.choice import Driver, Wish
from harness.places.local import LocalPlace, PlaceError
from harness.process import end_as_interrupted
from harness.wideners import Widener

HEAD = f"{'race':<28}{'classes':<10}{'backend':<28}{'won':>8}{'median':>10}{'slowest':>10}"


@click.command("races")
@click.option(
    "--keyword",
    "-k",
    "keywords",
    shell_complete=complete_scenarios,
    multiple=True,
    metavar="TEXT",
    help="Only races whose cases have this text, or one of 'TEXT or TEXT'; repeated: all.",
)
@click.option("--runs", type=click.IntRange(min=1), default=20, show_default=True)
@click.option(
    "--within",
    "within_s",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="Seconds that a run may take to win.",
)
@click.option(
    "--widener",
    type=click.Choice([each.value for each in Widener]),
    help="Give the races more time.",
)
@click.option("--one-processor", is_flag=True, help="Everything on one processor.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    keywords: tuple[str, ...],
    runs: int,
    within_s: float,
    widener: str | None,
    one_processor: bool,
    as_json: bool,
) -> NoReturn:
    """Run each race against each of its leaky backends, RUNS times, until it wins.

    Told are the runs that won in time, and seconds to the first win: median and slowest. Exit
    status: 0 if every race won in 19 of 20 runs, else 1.
    """
    end_as_interrupted()
    lab = laboratory()
    (target,) = chosen_targets(Wish(driver=Driver.NONE))
    chosen = replace(selection((), keywords, target), abis=target.here[:1])
    jobs = race_jobs(lab.scenarios, lab.attacks, chosen, Widener(widener) if widener else None)
    if not jobs:
        raise UserError("no race is selected; `harness list cases` shows what there is")
    if not as_json:
        processors = 1 if one_processor else len(os.sched_getaffinity(0))
        click.echo(f"processors: {processors}; {_load()}")
        click.echo(HEAD)
    every = []
    with bound(one_processor), contextlib.closing(LocalPlace()) as place:
        for job in jobs:
            try:
                found = first_wins(job, place, runs, within_s)
            except (BuildError, PlaceError, PolicyError) as error:
                raise UserError(f"{job.case.id}: {error}") from None
            every.append(found)
            click.echo(_record(found) if as_json else _line(found))
    if not as_json:
        click.echo(_load())
    sys.exit(Status.EXPECTED if all(each.often for each in every) else Status.UNEXPECTED)


def _load() -> str:
    one, five, fifteen = os.getloadavg()
    return f"load average {one:.1f}, {five:.1f}, {fifteen:.1f}"


def _record(found: FirstWins) -> str:
    return json.dumps({**vars(found), "won": len(found.won), "load": os.getloadavg()[0]})


def _line(found: FirstWins) -> str:
    name = f"{found.race.partition('/')[2]}{f'+{found.widener}' if found.widener else ''}"
    won = f"{len(found.won)}/{len(found.seconds)}"
    median = "-" if found.median is None else f"{found.median:.2f} s"
    slowest = f"{found.won[-1]:.2f} s" if found.won else "-"
    classes = " ".join(found.catalogue)
    return f"{name:<28}{classes:<10}{found.backend:<28}{won:>8}{median:>10}{slowest:>10}"

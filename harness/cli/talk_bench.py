"""`harness bench talk`: the tables of the talk that began all this, on today's kernel."""

from __future__ import annotations

import json
import platform

import click

from harness.bench.measure import BenchError, bound
from harness.bench.talk import BARE, TALKS_CALLS, Cell, counted, measured
from harness.build import BuildError
from harness.cli import UserError
from harness.process import end_as_interrupted
from harness.scratch import Scratch

MANY = 10.0
"""From this overhead on it is told how many times as long a call takes."""


@click.command("talk")
@click.option(
    "--calls",
    type=click.IntRange(min=0),
    default=TALKS_CALLS,
    show_default=True,
    help="The talk's way: so many calls once; 0 leaves it out.",
)
@click.option("--turns", type=click.IntRange(min=3), default=20, show_default=True)
@click.option("--a-turn", type=click.IntRange(min=200), default=100_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(calls: int, turns: int, a_turn: int, as_json: bool) -> None:
    """Time getuid, setuid, chdir and read under each mechanism, over bare.

    By TURNS loops of A-TURN calls in which all take turns: the median of the overheads, with an
    interval that has it in 95 of 100 measurements, whatever their distribution. And once as the
    talk of 2013 did, by one loop of CALLS calls, or of as many as fit into a minute. Then
    `strace -cf` counts the calls of some programs. Everything runs on one processor. The policy
    denies mkdir by name, or the four calls by an argument.
    """
    end_as_interrupted()
    with Scratch() as scratch:
        directory = scratch.resolve()
        directory.chmod(0o755)
        try:
            if not as_json:
                kernel = platform.uname()
                click.echo(f"{kernel.system} {kernel.release} {kernel.machine}, one processor\n")
                head = f"{'call':<8}{'under':<22}{'ns':>9}{'in turns':>28}"
                click.echo(f"{head}{'as the talk':>13}{'by calls':>13}")
            with bound(True):
                for cell in measured(directory, calls, turns, a_turn):
                    click.echo(_record(cell) if as_json else _line(cell))
            if not as_json:
                click.echo(f"\n{'strace -cf':<24}{'calls here':>12}{'in the talk':>13}")
            for program, here, then in counted():
                found = {"program": program, "calls": here, "talk": then}
                line = f"{program:<24}{here:>12,}{then or '-':>13,}"
                click.echo(json.dumps(found) if as_json else line)
        except (BenchError, BuildError) as error:
            raise UserError(str(error)) from None


def _record(cell: Cell) -> str:
    median, low, high = cell.overhead
    return json.dumps(
        {
            **vars(cell),
            "overhead_once": cell.overhead_once,
            "overhead": {"median": median, "low": low, "high": high},
        }
    )


def _line(cell: Cell) -> str:
    nanoseconds = sorted(cell.turns)[len(cell.turns) // 2]
    head = f"{cell.call:<8}{cell.confinement:<22}{nanoseconds:>9,.0f}"
    turns = once = ""
    if cell.confinement != BARE:
        median, low, high = map(_told, cell.overhead)
        turns = f"{median} ({low} to {high})"
        once = "-" if cell.overhead_once is None else _told(cell.overhead_once)
    return f"{head}{turns:>28}{once:>13}{cell.calls or '-':>13,}".rstrip()


def _told(overhead: float) -> str:
    """Percent, or how many times as long."""
    return f"{overhead:+.0%}" if overhead < MANY else f"x{overhead + 1:,.0f}"

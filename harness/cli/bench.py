"""`harness bench`: what interposition costs, as a table with ratios."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence

import click

from enforcer.policy.problem import suggestion
from harness.bench.measure import (
    STRACE,
    BenchError,
    Measurement,
    Size,
    bound,
    confinements,
    measure,
)
from harness.build import BuildError
from harness.cli import UserError
from harness.cli.names import complete_backends
from harness.cli.races_bench import command as races
from harness.cli.talk_bench import command as talk
from harness.cli.vm_bench import command as vm
from harness.process import end_as_interrupted
from harness.scratch import Scratch

BARE = "none"
REASON_LENGTH = 150
HEADING = "microseconds (times bare, times strace)"
BARE_WIDTH, WIDTH = 13, 29


@click.group("bench", invoke_without_command=True)
@click.option(
    "--backend",
    "-b",
    "wanted",
    multiple=True,
    metavar="NAME",
    help="May be repeated.",
    shell_complete=complete_backends,
)
@click.option("--row", "-k", "words", multiple=True, metavar="WORD", help="Rows with this word.")
@click.option("--count", type=click.IntRange(min=10), default=5000, show_default=True)
@click.option("--names", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--files", type=click.IntRange(min=0), default=200, show_default=True)
@click.option("--tries", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--one-processor", is_flag=True, help="Everything on one processor.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def command(
    context: click.Context,
    wanted: tuple[str, ...],
    words: tuple[str, ...],
    count: int,
    names: int,
    files: int,
    tries: int,
    one_processor: bool,
    as_json: bool,
) -> None:
    """Time calls on names, a spawn, a build, and a call that the kernel decides.

    Each kind of call is made COUNT times on one name, and once on each of NAMES different ones;
    then `make -j2` compiles FILES small C files. Bare, under each backend with rules on names,
    under `strace -f --seccomp-bpf -e trace=%file`, and in a mount namespace of bwrap, where there
    are these. They take turns TRIES times: what is told is the median, with the medians of the
    ratios within a turn. Run it on an idle machine, for about a quarter of an hour. There most of
    the cost is that of waking a processor that sleeps; --one-processor leaves it out, for target,
    supervisor and tracer take turns on one. A row is printed as soon as it is measured, when
    interrupted the last one with the turns that it had. `harness bench vm` measures virtual
    machines instead, `harness bench races` how soon races win from leaky backends, `harness bench
    talk` the four calls of a talk of 2013.
    """
    if context.invoked_subcommand is not None:
        return
    end_as_interrupted()
    chosen = _chosen(wanted)
    size = Size(count=count, names=names, files=files, tries=tries)
    tell: _Lines | _Table = _Lines() if as_json else _Table(chosen)
    with Scratch() as scratch:
        directory = scratch.resolve()
        directory.chmod(0o755)
        try:
            with bound(one_processor):
                for each in measure(directory, chosen, size, words):
                    tell.add(each)
        except (BenchError, BuildError) as error:
            raise UserError(str(error)) from None
        finally:
            tell.end()


command.add_command(races)
command.add_command(talk)
command.add_command(vm)


def _chosen(wanted: tuple[str, ...]) -> tuple[str, ...]:
    here = confinements()
    for name in wanted:
        if name not in here:
            mend = suggestion(name, here) or "known: " + ", ".join(here)
            raise UserError(f"{name!r} cannot be measured; {mend}")
    return tuple(dict.fromkeys((BARE, *wanted))) if wanted else here


class _Lines:
    """One JSON object a measurement."""

    def add(self, each: Measurement) -> None:
        """Print it."""
        click.echo(json.dumps({**vars(each), "nanoseconds": each.nanoseconds}))

    def end(self) -> None:
        """Nothing is left to be said."""


class _Table:
    """One line a row, printed when its last measurement is there: what comes later may be lost."""

    def __init__(self, chosen: Sequence[str]) -> None:
        self._widths = {name: BARE_WIDTH if name == BARE else WIDTH for name in chosen}
        self._row: dict[str, Measurement] = {}
        self._reasons: dict[str, str] = {}
        self._print(HEADING, {name: "bare" if name == BARE else name for name in chosen})

    def add(self, each: Measurement) -> None:
        """Keep it, and print its row when that is complete."""
        self._row[each.backend] = each
        if each.reason:
            self._reasons[each.backend] = each.reason.splitlines()[0]
        if len(self._row) == len(self._widths):
            self._print(each.row, {name: _cell(self._row[name], self._row) for name in self._row})
            self._row.clear()

    def end(self) -> None:
        """Say why some backends have no figures."""
        for name, reason in self._reasons.items():
            click.echo(f"- {name}: {reason[:REASON_LENGTH]}")

    def _print(self, title: str, cells: Mapping[str, str]) -> None:
        columns = (f"{cells[name]:>{width}}" for name, width in self._widths.items())
        click.echo(f"{title:<{len(HEADING)}}" + "".join(columns))


def _cell(each: Measurement, found: Mapping[str, Measurement]) -> str:
    if each.nanoseconds is None:
        return "-"
    text = f"{each.nanoseconds / 1000:,.1f}"
    others = [
        f"{statistics.median(ratios):.2f}"
        for name in (BARE, STRACE)
        if name in found and name != each.backend and (ratios := each.ratios(found[name]))
    ]
    return f"{text} ({', '.join(others)})" if others else text

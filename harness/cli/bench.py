"""`harness bench`: what interposition costs, as a table with ratios."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click
from rich.table import Table

from enforcer.policy.problem import suggestion
from harness.bench.measure import (
    STRACE,
    BenchError,
    Measurement,
    bound,
    confinements,
    measure,
)
from harness.build import BuildError
from harness.cli import UserError
from harness.cli.vm_bench import command as vm
from harness.report.terminal import console

BARE = "none"
REASON_LENGTH = 150


@click.group("bench", invoke_without_command=True)
@click.option("--backend", "-b", "wanted", multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--count", type=click.IntRange(min=10), default=5000, show_default=True)
@click.option("--tries", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--one-processor", is_flag=True, help="Everything on one processor.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def command(
    context: click.Context,
    wanted: tuple[str, ...],
    count: int,
    tries: int,
    one_processor: bool,
    as_json: bool,
) -> None:
    """Time an open+close of a permitted file, and a call that the kernel decides.

    Bare, under each backend, and under `strace -f --seccomp-bpf -e trace=openat` where there is
    one. Each time is the least of several tries; run it on an idle machine. There most of the
    cost is that of waking a processor that sleeps; --one-processor leaves it out, for target,
    supervisor and tracer take turns on one. `harness bench vm` measures virtual machines instead.
    """
    if context.invoked_subcommand is not None:
        return
    chosen = _chosen(wanted)
    measured: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="interposition-bench-") as scratch:
        directory = Path(scratch).resolve()
        directory.chmod(0o755)
        try:
            with bound(one_processor):
                for each in measure(directory, chosen, count, tries):
                    measured.append(each)
                    if as_json:
                        click.echo(json.dumps(vars(each)))
        except (BenchError, BuildError) as error:
            raise UserError(str(error)) from None
    if not as_json:
        _print(measured, chosen)


command.add_command(vm)


def _chosen(wanted: tuple[str, ...]) -> tuple[str, ...]:
    here = confinements()
    for name in wanted:
        if name not in here:
            mend = suggestion(name, here) or "known: " + ", ".join(here)
            raise UserError(f"{name!r} cannot be measured; {mend}")
    return tuple(dict.fromkeys((BARE, *wanted))) if wanted else here


def _print(measured: list[Measurement], chosen: tuple[str, ...]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("microseconds (times bare, times strace)")
    for name in chosen:
        table.add_column("bare" if name == BARE else name, justify="right")
    for row in dict.fromkeys(each.row for each in measured):
        times = {each.backend: each.nanoseconds for each in measured if each.row == row}
        cells = [_cell(times.get(name), times.get(BARE), times.get(STRACE)) for name in chosen]
        table.add_row(row, *cells)
    to = console()
    to.print(table)
    reasons = {each.backend: each.reason.splitlines()[0] for each in measured if each.reason}
    for name, reason in reasons.items():
        to.print(f"- {name}: {reason[:REASON_LENGTH]}", style="dim", markup=False)


def _cell(taken: float | None, bare: float | None, strace: float | None) -> str:
    if taken is None:
        return "-"
    text = f"{taken / 1000:.2f}"
    if bare and taken != bare:
        text += f" ({taken / bare:.1f}"
        text += f", {taken / strace:.2f})" if strace and taken != strace else ")"
    return text

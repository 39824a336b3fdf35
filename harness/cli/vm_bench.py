"""`harness bench vm`, also `harness vm bench`: what a machine costs."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.table import Table

from enforcer.arch import arch as find_arch
from enforcer.arch import native
from harness import process
from harness.cases import expand
from harness.cli import Status, UserError
from harness.cli.load import chosen_targets, laboratory, selection
from harness.model import VerdictKind
from harness.places.choice import Wish
from harness.places.local import PlaceError
from harness.places.vm import VmPlace, vm_place
from harness.places.vng import vng_place
from harness.report.terminal import console
from harness.runner import Job, carry_out
from harness.vm.guest import Refused
from harness.vm.machines import MachineError, machine
from harness.vm.qemu import LostVM
from harness.vm.snapshot import booted, restored, temporary

COMMAND = "true"
BACKEND, SCENARIO = "seccomp", "io_uring_open["  # a case that every machine can run
VNG_S = 900.0
SAID_EVERY = 25


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One row. `unit` is s, MB or cases/min; `lost` are guests that died or fell silent."""

    what: str
    unit: str
    median: float
    worst: float
    count: int
    lost: int = 0


@click.command("vm")
@click.option("--arch", "-a", required=True, metavar="ARCH", help="x86_64, arm, arm64...")
@click.option("--kernel", metavar="VERSION", help="6.1, 6.12, 7.2; default: the table's.")
@click.option("--copies", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--cases", type=click.IntRange(min=0), default=10, show_default=True)
@click.option("--vng/--no-vng", default=None, help="Default: for this machine's architecture.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    arch: str, kernel: str | None, copies: int, cases: int, vng: bool | None, as_json: bool
) -> None:
    """Cold boot, restore to first command, private memory, case rate, virtme-ng's time.

    Exit status 3 when a guest was lost, or the measuring was interrupted.
    """
    process.end_as_interrupted()
    try:
        name = machine(find_arch(arch).name).arch
        place = vm_place(name, kernel, say=lambda text: click.echo(f"  {text}", err=True))
    except (KeyError, MachineError, PlaceError) as error:
        raise UserError(str(error.args[0])) from None
    if vng is None:
        vng = name == native().name and (
            shutil.which("vng") is not None or (Path(sys.executable).parent / "vng").exists()
        )
    rows: list[Measured] = []
    failed = ""
    try:
        for row in measure(place, kernel, copies, cases, vng=vng):
            rows.append(row)
            if as_json:
                click.echo(json.dumps({"machine": place.base.kernel.name, **asdict(row)}))
    except (LostVM, Refused, PlaceError) as error:
        failed = f"Error: {error}"
    except KeyboardInterrupt:
        failed = "interrupted"
    if rows and not as_json:
        _print(place, rows)
    if failed:
        click.echo(failed, err=True)
    if failed or any(row.lost for row in rows):
        sys.exit(Status.BROKEN)


def measure(
    place: VmPlace, kernel: str | None, copies: int, cases: int, *, vng: bool
) -> Iterator[Measured]:
    """The rows, each as soon as it is there. Raises LostVM, Refused, PlaceError."""
    started = time.monotonic()
    with temporary() as directory, booted(place.base, Path(directory) / "memory") as guest:
        guest.run([COMMAND])
        cold = time.monotonic() - started
    yield Measured(what="cold boot to first command", unit="s", median=cold, worst=cold, count=1)
    yield from _restores(place, copies)
    if cases:
        yield _cases(place, cases)
    if vng:
        yield _vng(place, kernel)


def _restores(place: VmPlace, copies: int) -> Iterator[Measured]:
    restores: list[float] = []
    memory: list[float] = []
    lost = 0
    for _ in range(copies):
        started = time.monotonic()
        try:
            with restored(place.base, place.snapshot, tries=1) as guest:
                guest.run([COMMAND])
                restores.append(time.monotonic() - started)
                memory.append(guest.qemu.private_bytes() / 1e6)
        except LostVM:
            lost += 1
    if not restores:
        raise LostVM(f"none of {copies} copies came to life")
    for what, unit, found, gone in (
        ("restore to first command", "s", restores, lost),
        ("private memory", "MB", memory, 0),
    ):
        median, worst = statistics.median(found), max(found)
        yield Measured(
            what=what, unit=unit, median=median, worst=worst, count=len(found), lost=gone
        )


def _cases(place: VmPlace, count: int) -> Measured:
    """The same case again and again, one after the other, each in a copy of its own."""
    lab = laboratory()
    (target,) = chosen_targets(Wish(arches=(place.base.machine.arch,), kernels=(place.kernel,)))
    case = expand(lab.scenarios, lab.attacks, selection((BACKEND,), (SCENARIO,), target))[0]
    job = Job(case=case, attack=lab.attacks[case.scenario.attack or ""], attempts=1, place=place)
    results = []
    for number in range(1, count + 1):
        results.append(carry_out(job))
        if number % SAID_EVERY == 0:
            click.echo(f"  {number}/{count} cases", err=True)
    broken = [each.verdict for each in results if each.verdict.kind is VerdictKind.BROKEN]
    for verdict in broken:
        click.echo(f"  lost: {verdict.reason}", err=True)
    rates = [60 / result.seconds for result in results]
    return Measured(
        what="cases, one after the other",
        unit="cases/min",
        median=statistics.median(rates),
        worst=min(rates),
        count=count,
        lost=len(broken),
    )


def _vng(place: VmPlace, kernel: str | None) -> Measured:
    other = vng_place(place.base.machine.arch, kernel, say=lambda text: None)
    started = time.monotonic()
    try:
        done = other.execute((COMMAND,), timeout_s=VNG_S, shared=None)
    except process.ProcessTimeout as error:
        raise PlaceError(f"virtme-ng: {error}") from error
    if done.status:
        raise PlaceError(f"virtme-ng: {done.describe()}")
    whole = time.monotonic() - started
    return Measured(
        what="virtme-ng: boot, command, end", unit="s", median=whole, worst=whole, count=1
    )


def _print(place: VmPlace, rows: list[Measured]) -> None:
    table = Table(place.base.kernel.name, "unit", "median", "worst", "count", "lost", box=None)
    for row in rows:
        table.add_row(
            row.what,
            row.unit,
            f"{row.median:.2f}",
            f"{row.worst:.2f}",
            str(row.count),
            str(row.lost),
        )
    to = console()
    to.print(table)
    load = os.getloadavg()[0]
    to.print(f"{place.base.hardware.accelerator}, load of this machine {load:.1f}", style="dim")

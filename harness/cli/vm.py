"""`harness vm`: the images, snapshots and machines that cases run in."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from enforcer.arch import arch as find_arch
from harness.cli import Status, UserError
from harness.cli.vm_bench import command as bench
from harness.places.local import PlaceError
from harness.places.vm import VmPlace, vm_place
from harness.vm.archive import KEYRING, ArchiveError, run_tool
from harness.vm.cache import CacheFull, cache_root, locked, remove_unused
from harness.vm.guest import Refused
from harness.vm.images import fetch_kernel
from harness.vm.machines import MACHINES, Machine, MachineError, machine
from harness.vm.qemu import LostVM, NoQemu, known_bad, version
from harness.vm.roots import fetch_root
from harness.vm.snapshot import Base, booted, restored, temporary

TOOLS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "depmod": "kmod",
    "mkfs.erofs": "erofs-utils",
    "setpriv": "util-linux",
}
IMAGES = ("kernels", "roots", "initramfs", "apt", "vng")


def _say(text: str) -> None:
    click.echo(f"  {text}", err=True)


def _machine(name: str) -> Machine:
    try:
        return machine(find_arch(name).name)
    except (KeyError, MachineError):
        raise UserError(f"no machine for {name!r}; there are {', '.join(MACHINES)}") from None


def _place(name: str, kernel: str | None) -> VmPlace:
    try:
        return vm_place(_machine(name).arch, kernel, say=_say)
    except PlaceError as error:
        raise UserError(str(error)) from None


_arch = click.option("--arch", "-a", required=True, metavar="ARCH", help="x86_64, arm, arm64...")
_arches = click.option("--arch", "-a", "arches", multiple=True, metavar="ARCH", help="Repeatable.")
_kernel = click.option("--kernel", metavar="VERSION", help="6.1, 6.12, 7.2; default: the table's.")


@click.group("vm")
def command() -> None:
    """Virtual machines: what they are made of, and a way to look into one."""


@command.command("list")
def list_machines() -> None:
    """Machines, their kernels, and what the cache holds."""
    table = Table("machine", "qemu", "kernels", "ABIs", "fetched", "snapshots", box=None)
    root = cache_root()
    for each in MACHINES.values():
        found = sorted((root / "kernels").glob(f"{each.arch}-*"))
        snapshots = list((root / "snapshots").glob(f"{each.arch}-*"))
        table.add_row(
            each.arch,
            each.qemu,
            " ".join(each.kernels),
            " ".join(each.abis),
            " ".join(path.name.removeprefix(f"{each.arch}-") for path in found) or "-",
            str(len(snapshots)),
        )
    Console().print(table)
    click.echo(f"cache: {root}")


@command.command("fetch")
@_arches
@_kernel
def fetch(arches: tuple[str, ...], kernel: str | None) -> None:
    """Download kernels and build root file systems, so that later runs need no network."""
    for name in arches or tuple(MACHINES):
        each = _machine(name)
        try:
            fetch_kernel(each, kernel or each.default_kernel, _say)
            fetch_root(each, _say)
        except (ArchiveError, MachineError, CacheFull) as error:
            raise UserError(str(error)) from None
        click.echo(f"{each.arch}: kernel {kernel or each.default_kernel} and root are here")


@command.command("build")
@_arches
@_kernel
def build(arches: tuple[str, ...], kernel: str | None) -> None:
    """Boot and save the base machines."""
    for name in arches or tuple(MACHINES):
        place = _place(name, kernel)
        click.echo(f"{place.base.kernel.name}: saved as {place.snapshot.name}")


@command.command("shell")
@_arch
@_kernel
def shell(arch: str, kernel: str | None) -> None:
    """A shell in a throw-away copy; lines in, lines out, gone at the end of input."""
    place = _place(arch, kernel)
    with restored(place.base, place.snapshot) as guest:
        program = guest.start(["/bin/sh", *(["-i"] if sys.stdin.isatty() else [])])
        guest.relay(program, sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno())


@command.command("boot", context_settings={"ignore_unknown_options": True})
@_arch
@_kernel
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def boot(arch: str, kernel: str | None, words: tuple[str, ...]) -> None:
    """Boot a machine from nothing and run one command in it; its exit status is ours."""
    each = _machine(arch)
    try:
        image = fetch_kernel(each, kernel or each.default_kernel, _say)
        base = Base(machine=each, kernel=image, root=fetch_root(each, _say))
        with (
            temporary() as directory,
            booted(base, Path(directory) / "memory") as guest,
        ):
            done = guest.run(words, timeout_s=3600)
    except (ArchiveError, MachineError, NoQemu, CacheFull) as error:
        raise UserError(str(error)) from None
    except (LostVM, Refused) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(Status.BROKEN)
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    assert done.status is not None
    sys.exit(os.waitstatus_to_exitcode(done.status) % 256)


command.add_command(bench, "bench")


@command.command("prune")
@click.option("--all", "everything", is_flag=True, help="Kernels and root file systems too.")
def prune(everything: bool) -> None:
    """Remove snapshots (they are made again when needed); what a running harness uses stays."""
    root = cache_root()
    freed = 0
    kept = []
    with locked("prune"):
        for name in ("snapshots", *(IMAGES if everything else ())):
            for path in sorted((root / name).glob("*")):
                size = sum(found.lstat().st_blocks * 512 for found in path.rglob("*"))
                if remove_unused(path):
                    freed += size
                else:
                    kept.append(f"{name}/{path.name}")
    click.echo(f"freed {freed / 1e6:.0f} MB")
    for path in kept:
        click.echo(f"in use, kept: {path}")


def _lacking(machines: Iterable[Machine]) -> dict[str, str]:
    """What is not there for these machines (a program, the keyring), and Debian's package of it."""
    wanted = {**TOOLS, **{each.qemu: each.qemu_package for each in machines}}
    lacking = {tool: package for tool, package in wanted.items() if shutil.which(tool) is None}
    if not KEYRING.exists():
        lacking[str(KEYRING)] = "debian-archive-keyring"
    return lacking


@command.command("doctor")
def doctor() -> None:
    """What is here for virtual machines, and what to install for the rest."""
    lacking = _lacking(MACHINES.values())
    for tool in (*TOOLS, str(KEYRING)):
        click.echo(f"{'lacking' if tool in lacking else 'ok':8} {tool}")
    for each in MACHINES.values():
        try:
            major, minor = version(each.qemu)
        except NoQemu:
            click.echo(f"lacking  {each.arch}: {each.qemu}")
            continue
        click.echo(f"ok       {each.arch}: {each.qemu} {major}.{minor}")
        for kernel in each.kernels:
            if bad := known_bad(each, kernel):
                click.echo(f"note     {each.arch} with kernel {kernel}: {bad}")
    if lacking:
        click.echo(f"-> harness vm install, or as root: {shlex.join(_installing(lacking))}")
        sys.exit(Status.BROKEN)


def _installing(lacking: Mapping[str, str]) -> list[str]:
    packages = sorted(set(lacking.values()))
    return ["apt-get", "install", "--yes", "--no-install-recommends", *packages]


@command.command("install")
@_arches
def install(arches: tuple[str, ...]) -> None:
    """Install QEMU and Debian's tools, as root; for an ordinary user, say what to type.

    For the machines that are named, else for all. Exit status: 0 everything is there, 3 not.
    """
    lacking = _lacking([_machine(name) for name in arches] or MACHINES.values())
    if not lacking:
        click.echo("everything is there")
        return
    command = _installing(lacking)
    if shutil.which("apt-get") is None:
        names = ", ".join(sorted(lacking))
        click.echo(f"no apt-get here, as on Debian: install by other ways {names}", err=True)
        sys.exit(Status.BROKEN)
    if os.geteuid():
        click.echo(f"only root installs packages; type: sudo {shlex.join(command)}", err=True)
        sys.exit(Status.BROKEN)
    try:
        for words in (["apt-get", "update"], command):
            _say(shlex.join(words))
            run_tool(words)
    except ArchiveError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(Status.BROKEN)
    click.echo(f"installed: {' '.join(sorted(set(lacking.values())))}")

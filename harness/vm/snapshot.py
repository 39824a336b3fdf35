"""Snapshots: a base machine is booted once and saved; every case gets a restored, private copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.vm.cache import cache_root, digest, made_once
from harness.vm.guest import Guest
from harness.vm.images import Kernel, initramfs
from harness.vm.machines import Machine
from harness.vm.qemu import Hardware, LostVM, Qemu, command_line, version

BOOT_S = 120.0
RESTORE_S = 10.0
RESTORE_TRIES = 3
BOOT_TRIES = 2

PARK = "for cpu in /sys/devices/system/cpu/cpu*/online; do echo 0 > $cpu || :; done"

Prepare = Callable[[Guest], None]


@dataclass(frozen=True, kw_only=True)
class Base:
    """What a snapshot is of. `content` names everything put into the guest before it is saved."""

    machine: Machine
    kernel: Kernel
    root: Path
    hardware: Hardware = field(default_factory=Hardware)
    append: str = ""
    content: str = ""

    @property
    def key(self) -> str:
        """Changes with everything that made the snapshot, QEMU's own version included."""
        parts = (
            self.kernel.name,
            str(self.kernel.image.stat().st_mtime_ns),
            str(initramfs(self.machine, self.kernel)),
            str(self.root),
            repr(self.hardware),
            self.append,
            self.content,
            repr(self.machine),
            repr(version(self.machine.qemu)),
        )
        return f"{self.kernel.name}-{digest(*parts)}"


def _temporary() -> tempfile.TemporaryDirectory[str]:
    """A directory of this process's; what killed processes left is removed."""
    for leaving in Path(tempfile.gettempdir()).glob("lab-vm-*-*"):
        owner = leaving.name.split("-")[2]
        if not Path("/proc", owner).exists():
            shutil.rmtree(leaving, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"lab-vm-{os.getpid()}-")


def _directory(base: Base) -> Path:
    return cache_root() / "snapshots" / base.key


def is_saved(base: Base) -> bool:
    """Whether the cache has the snapshot."""
    return _directory(base).exists()


def save(base: Base, prepare: Prepare) -> Path:
    """The snapshot's directory; booted, prepared and saved if the cache has none.

    A boot that is lost is tried once more. Raises LostVM.
    """

    def make(into: Path) -> None:
        for attempt in range(1, BOOT_TRIES + 1):
            try:
                _boot_and_save(base, prepare, into)
                return
            except LostVM:
                if attempt == BOOT_TRIES:
                    raise

    return made_once(_directory(base), make)


def boots(base: Base, timeout_s: float) -> None:
    """Boot the machine, hear its agent, and end it. Raises LostVM."""
    with (
        _temporary() as directory,
        booted(base, Path(directory) / "memory", timeout_s),
    ):
        return


@contextmanager
def booted(base: Base, memory: Path, timeout_s: float = BOOT_S) -> Iterator[Guest]:
    """A machine booted from nothing. Raises LostVM."""
    with (
        _machine(base, memory, restore=False) as qemu,
        contextlib.closing(Guest(qemu, timeout_s)) as guest,
    ):
        guest.wait_ready(timeout_s)
        yield guest


def _boot_and_save(base: Base, prepare: Prepare, into: Path) -> None:
    memory = into / "memory"
    memory.unlink(missing_ok=True)
    with _machine(base, memory, restore=False) as qemu:
        with contextlib.closing(Guest(qemu, BOOT_S)) as guest:
            guest.wait_ready(BOOT_S)
            prepare(guest)
            if base.machine.parks_cpus:
                guest.run(["/bin/sh", "-c", PARK])
        qemu.qmp("stop")
        _ignore_shared(qemu)
        qemu.qmp("migrate", uri=f"exec:cat > '{into / 'state'}'")
        qemu.wait_migrated(BOOT_S)


@contextmanager
def restored(base: Base, snapshot: Path) -> Iterator[Guest]:
    """A private copy of the snapshot, with its own time and randomness; gone afterwards.

    A copy that does not come to life is tried again. Raises LostVM when none does; the snapshot is
    removed then, so that the next run makes it anew.
    """
    with contextlib.ExitStack() as stack:
        for attempt in range(1, RESTORE_TRIES + 1):
            try:
                guest = _restore(base, snapshot, stack)
                break
            except LostVM:
                stack.close()
                if attempt == RESTORE_TRIES:
                    shutil.rmtree(snapshot, ignore_errors=True)
                    raise
        yield guest


def _restore(base: Base, snapshot: Path, stack: contextlib.ExitStack) -> Guest:
    qemu = stack.enter_context(_machine(base, snapshot / "memory", restore=True))
    _ignore_shared(qemu)
    qemu.qmp("migrate-incoming", uri=f"exec:cat '{snapshot / 'state'}'")
    qemu.wait_migrated(RESTORE_S)
    qemu.qmp("cont")
    guest = stack.enter_context(contextlib.closing(Guest(qemu, RESTORE_S)))
    guest.synchronise(RESTORE_S)
    return guest


def _ignore_shared(qemu: Qemu) -> None:
    capability = {"capability": "x-ignore-shared", "state": True}
    qemu.qmp("migrate-set-capabilities", capabilities=[capability])


@contextmanager
def _machine(base: Base, memory: Path, *, restore: bool) -> Iterator[Qemu]:
    with _temporary() as directory:
        arguments = command_line(
            base.machine,
            base.hardware,
            kernel=base.kernel,
            initramfs=initramfs(base.machine, base.kernel),
            root=base.root,
            memory=memory,
            sockets=Path(directory),
            append=base.append,
            restore=restore,
        )
        qemu = Qemu(arguments, Path(directory))
        try:
            yield qemu
        finally:
            qemu.close()

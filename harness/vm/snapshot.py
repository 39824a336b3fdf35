"""Snapshots: a base machine is booted once and saved; every case gets a restored, private copy."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.vm.cache import cache_root, digest, locked, made_once, need_room
from harness.vm.capacity import crowding
from harness.vm.guest import Guest
from harness.vm.images import Kernel, initramfs
from harness.vm.machines import Machine
from harness.vm.qemu import ALWAYS, Hardware, LostVM, Qemu, command_line, version

BOOT_S = 120.0
RESTORE_S = 10.0
RESTORE_TRIES = 3
BOOT_TRIES = 2

PARK = "for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do echo 0 > $cpu || :; done"

PARTS = ("state", "memory")
SUM = "sum"  # beside them: what they were when they were saved
BLOCK = 1 << 20
STATE_MIB = 16  # more than any machine's state, beside its memory

Prepare = Callable[[Guest], None]
Say = Callable[[str], None]


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
            ALWAYS,
            SUM,
        )
        return f"{self.kernel.name}-{digest(*parts)}"


def temporary() -> tempfile.TemporaryDirectory[str]:
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


def save(base: Base, prepare: Prepare, say: Say = lambda text: None) -> Path:
    """The snapshot's directory; booted, prepared and saved if the cache has none that is whole.

    A boot that is lost is tried once more. Raises LostVM, CacheFull.
    """
    path = _directory(base)
    if discard_damaged(path):
        say(f"the snapshot {path.name} is damaged: it is made again")

    def make(into: Path) -> None:
        need_room(into, base.hardware.memory_mib + STATE_MIB)
        for attempt in range(1, BOOT_TRIES + 1):
            try:
                _boot_and_save(base, prepare, into)
                (into / SUM).write_text(content_sum(into), encoding="ascii")
                return
            except LostVM:
                need_room(into, STATE_MIB)  # what QEMU cannot write kills it
                if attempt == BOOT_TRIES:
                    raise

    return made_once(path, make)


def content_sum(snapshot: Path) -> str:
    """SHA-256 of a snapshot's state and memory; what is zero is passed over, quickly in holes."""
    total = hashlib.sha256()
    for name in PARTS:
        with (snapshot / name).open("rb", buffering=0) as stream:
            total.update(name.encode() + os.fstat(stream.fileno()).st_size.to_bytes(8, "big"))
            at = 0
            while True:
                try:
                    # From the start of a block, so that a file's layout on its disk is no matter.
                    at = os.lseek(stream.fileno(), at, os.SEEK_DATA) // BLOCK * BLOCK
                except OSError as error:
                    if error.errno == errno.ENXIO:  # nothing but a hole, or the end
                        break
                    raise
                block = os.pread(stream.fileno(), BLOCK, at)
                if block.strip(b"\0"):
                    total.update(at.to_bytes(8, "big") + block)
                at += BLOCK
    return total.hexdigest()


def discard_damaged(snapshot: Path) -> bool:
    """Remove a snapshot that is not as it was saved; whether there was such a one."""
    if not snapshot.exists():
        return False
    with locked(snapshot.name):
        try:
            whole = (snapshot / SUM).read_text(encoding="ascii") == content_sum(snapshot)
        except OSError:
            whole = False
        if not whole:
            shutil.rmtree(snapshot, ignore_errors=True)
    return not whole


def boots(base: Base, timeout_s: float) -> None:
    """Boot the machine, hear its agent, and end it. Raises LostVM."""
    with (
        temporary() as directory,
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
        guest.wait_ready(timeout_s * crowding())
        yield guest


def _boot_and_save(base: Base, prepare: Prepare, into: Path) -> None:
    memory = into / "memory"
    memory.unlink(missing_ok=True)
    with _machine(base, memory, restore=False) as qemu:
        with contextlib.closing(Guest(qemu, BOOT_S)) as guest:
            guest.wait_ready(BOOT_S * crowding())
            prepare(guest)
            if base.machine.parks_cpus:
                guest.run(["/bin/sh", "-c", PARK])
        qemu.qmp("stop")
        _ignore_shared(qemu)
        qemu.qmp("migrate", uri=f"exec:cat > '{into / 'state'}'")
        qemu.wait_migrated(BOOT_S * crowding())


@contextmanager
def restored(base: Base, snapshot: Path, tries: int = RESTORE_TRIES) -> Iterator[Guest]:
    """A private copy of the snapshot, with its own time and randomness; gone afterwards.

    A copy that does not come to life is tried again. Raises LostVM when none does; a snapshot that
    is damaged is removed then, so that it is made anew.
    """
    with contextlib.ExitStack() as stack:
        for attempt in range(1, tries + 1):
            try:
                guest = _restore(base, snapshot, stack)
                break
            except LostVM as error:
                stack.close()
                if attempt == tries:
                    if discard_damaged(snapshot):
                        raise LostVM(f"the snapshot {snapshot.name} is damaged: {error}") from error
                    raise
        yield guest


def _restore(base: Base, snapshot: Path, stack: contextlib.ExitStack) -> Guest:
    limit_s = RESTORE_S * crowding()
    qemu = stack.enter_context(_machine(base, snapshot / "memory", restore=True))
    _ignore_shared(qemu)
    qemu.qmp("migrate-incoming", uri=f"exec:cat '{snapshot / 'state'}'")
    qemu.wait_migrated(limit_s)
    qemu.qmp("cont")
    guest = stack.enter_context(contextlib.closing(Guest(qemu, limit_s)))
    guest.synchronise(limit_s)
    return guest


def _ignore_shared(qemu: Qemu) -> None:
    capability = {"capability": "x-ignore-shared", "state": True}
    qemu.qmp("migrate-set-capabilities", capabilities=[capability])


@contextmanager
def _machine(base: Base, memory: Path, *, restore: bool) -> Iterator[Qemu]:
    with temporary() as directory:
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

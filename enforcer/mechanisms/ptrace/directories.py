"""Working directory and root: the object judged must be the object that the task then has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from enforcer.call import Action
from enforcer.kernel import ptrace
from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.processes import forget_world
from enforcer.mechanisms.ptrace.slots import NAME_SIZE
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import resolve
from enforcer.supervision.memory import UnreadableMemory

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.dispatch import Entry, Handler
    from enforcer.mechanisms.ptrace.tracer import Tracer

_LINKS = {"chdir": "cwd", "chroot": "root"}
_DELETED = " (deleted)"


class Directories:
    """The handlers of chdir and chroot."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer

    def handlers(self) -> Mapping[str, Handler]:
        return {"chdir": self.change, "chroot": self.change}

    def change(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """chdir(path), chroot(path): the task goes there itself, by the canonical name."""
        tracer = self.tracer
        if entry.name == "chroot":
            forget_world(tracer)
        try:
            name = tracer.read_string(task, info[5])
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        with resolve(task.view, AT_FDCWD, name) as pinned:
            if not pinned.name:
                tracer.refuse(task, info, pinned.errno)
                return
            texts = {"filename": (pinned.name,)}
            decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi)
            if not tracer.settle(task, info, entry.name, decision, texts):
                return
            if pinned.errno:
                tracer.refuse(task, info, pinned.errno)
                return
            canonical = os.fsencode(pinned.name)
            held = tracer.pins and not pinned.magic and len(canonical) < NAME_SIZE
            judged = identity(pinned.fd) if tracer.verifies else None
        if not tracer.copies:
            tracer.resume(task)
            return
        slot = tracer.take_slot(task, info)
        if slot is None:
            return
        tracer.arena.write_name(slot, canonical if held else name)
        arguments = (task.process.space.base + slot, *info[6:11])
        tracer.redirect(
            task,
            info,
            info[4],
            arguments,
            partial(self.changed, call=entry, args=info[5:11], judged=judged),
        )

    def changed(
        self, task: Task, *, call: Entry, args: Sequence[int], judged: tuple[int, int] | None
    ) -> None:
        """The exit: where the task is now must be what was judged, else the sandbox ends."""
        tracer = self.tracer
        info = ptrace.syscall_info(task.tid)
        if judged is not None and ptrace.exit_result() == 0:
            place = Path(f"/proc/{task.tid}/{_LINKS[call.name]}")
            if not is_at(place, judged) and not self.may_be_at(task, place, call, args):
                tracer.end("another directory than judged", tid=task.tid, call=call.name)
                return
        tracer.restore(task, info)

    def may_be_at(self, task: Task, place: Path, call: Entry, args: Sequence[int]) -> bool:
        """Whether the policy permits to be where the task is now.

        Tasks that share one working directory take each other along: A is judged and goes to X, B
        is judged and goes to Y, and both find themselves in Y.
        """
        tracer = self.tracer
        try:
            name = str(place.readlink())
        except OSError:
            return False
        if tracer.world_changed or name[:1] != "/" or name.endswith(_DELETED):
            return False
        decision = tracer.decide(task, call.name, args, {"filename": (name,)}, call.abi)
        return decision.action is Action.PERMIT


def is_at(place: Path, judged: tuple[int, int]) -> bool:
    """Whether the object at `place` has the device and inode `judged`."""
    try:
        status = place.stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == judged


def identity(fd: int) -> tuple[int, int] | None:
    """Device and inode of what `fd` refers to; None without a descriptor."""
    if fd < 0:
        return None
    status = os.fstat(fd)
    return status.st_dev, status.st_ino

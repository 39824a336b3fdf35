"""Working directory and root: the object judged must be the object that the task then has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from errno import EACCES
from functools import partial
from pathlib import Path

from enforcer.call import Action
from enforcer.kernel import ptrace
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.mechanisms.ptrace.slots import NAME_SIZE
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import resolve_as_caller
from enforcer.pin.places import UNPLACED
from enforcer.supervision.journal import UNREADABLE
from enforcer.syscalls.arguments import AT_FDCWD
from enforcer.syscalls.memory import UnreadableMemory

_LINKS = {"chdir": "cwd", "chroot": "root"}
_DELETED = " (deleted)"


class Directories:
    """The handlers of chdir and chroot."""

    def __init__(self, act: Act) -> None:
        self.act = act

    def handlers(self) -> Mapping[str, Handler]:
        return {"chdir": self.change, "chroot": self.change}

    def change(self, call: HeldCall) -> None:
        """chdir(path), chroot(path): the task goes there itself, by the canonical name."""
        act = self.act
        if call.name == "chroot":
            act.sandbox.change_world()
        try:
            name = call.read_string(call.args[0])
        except UnreadableMemory as error:
            act.refuse(call, error.errno, UNREADABLE)
            return
        with resolve_as_caller(call.view, AT_FDCWD, name) as pinned:
            if pinned.unplaced:
                act.refuse(call, pinned.errno, UNPLACED)
                return
            if not pinned.name:
                act.fail(call, pinned.errno)
                return
            for judged_name in (pinned.name, *pinned.others):
                if not act.permits(call, {"filename": (judged_name,)}):
                    return
            if pinned.errno:
                act.fail(call, pinned.errno)
                return
            canonical = pinned.seen
            held = act.pins and not pinned.magic and len(canonical) < NAME_SIZE
            if act.verifies and is_removed(pinned.fd):
                held = False  # no name leads there any more but the caller's own, "." or the like
            if act.verifies and call.task.retry:
                held = False  # the caller may come there by its own name alone
            judged = identity(pinned.fd) if act.verifies else None
        at_exit = partial(self.changed, call=call, judged=judged, held=held)
        act.pass_changed(call, {0: (canonical if held else name) + b"\0"}, at_exit)

    def changed(
        self, task: Task, *, call: HeldCall, judged: tuple[int, int] | None, held: bool
    ) -> None:
        """The exit: where the task is now must be what was judged, else the sandbox ends.

        What lies above may be closed to the task: then the way is its own name, and once more.
        """
        act = self.act
        info = ptrace.syscall_info(task.tid)
        result = ptrace.exit_result()
        if judged is not None and held and result == -EACCES:
            task.retry = 1
            act.repeat(task, info)
            return
        task.retry = 0
        if judged is not None and result == 0:
            place = Path(f"/proc/{task.tid}/{_LINKS[call.name]}")
            if not is_at(place, judged) and not self.may_be_at(place, call):
                reason = "another directory than judged"
                act.sandbox.end(reason, tid=task.tid, call=call.name)
                return
        act.restore(task, info)

    def may_be_at(self, place: Path, call: HeldCall) -> bool:
        """Whether the policy permits to be where the task is now.

        Tasks that share one working directory (CLONE_FS) take each other along:

            A: chdir("x") judged                    B: chdir("y") judged
            A: goes to x
                                                    B: goes to y
            A: at its exit stop finds itself in y
        """
        try:
            name = str(place.readlink())
        except OSError:
            return False
        if self.act.sandbox.world_changed or name[:1] != "/" or name.endswith(_DELETED):
            return False
        return self.act.decide(call, {"filename": (name,)}).action is Action.PERMIT


def is_at(place: Path, judged: tuple[int, int]) -> bool:
    """Whether the object at `place` has the device and inode `judged`."""
    try:
        status = place.stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == judged


def is_removed(fd: int) -> bool:
    """Whether `fd` refers to a directory that is in no other any more."""
    return fd >= 0 and os.fstat(fd).st_nlink == 0


def identity(fd: int) -> tuple[int, int] | None:
    """Device and inode of what `fd` refers to; None without a descriptor."""
    if fd < 0:
        return None
    status = os.fstat(fd)
    return status.st_dev, status.st_ino

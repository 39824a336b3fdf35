"""Whether a held call is aimed at the supervisor: at any of its threads, as they are now.

What the filter cannot tell is asked from the kernel: a supervisor has threads that came after the
launch, and a number, a descriptor or a struct may mean any of them.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Callable, Iterable, Sequence

from enforcer.condition import holds
from enforcer.kernel import procfs
from enforcer.kernel.file_status import on_procfs
from enforcer.pin.identity import as_supervisor
from enforcer.pin.ourselves import is_ours
from enforcer.supervision.protect import (
    NAMING_CALLS,
    NAMING_TASKS,
    REFUSED,
    naming,
    numbers_named,
)

_PID = re.compile(rb"^Pid:\t(-?\d+)$", re.MULTILINE)


def _nobody(number: int) -> bool:
    return False


class Protected:
    """The supervisor, as registers, descriptors and structs of a target may name it.

    `processes` are the numbers that the filter was told. `is_target` says of a number that it is a
    target's for sure, and stays so while the call is held.
    """

    def __init__(
        self, processes: Iterable[int], is_target: Callable[[int], bool] = _nobody
    ) -> None:
        self.processes = frozenset(processes)
        self._is_target = is_target
        named = tuple(self.processes)
        self._naming = {name: naming(name, named) for name in NAMING_CALLS}

    def refusal(self, name: str, args: Sequence[int], tid: int) -> int:
        """0, or why a call of `tid` that names processes by number is refused: EPERM, or ESRCH.

        A number that nobody has is answered here. Else a thread of the supervisor could be born
        with it before the kernel looks:

            target                      supervisor
            kill(N, SIGSTOP), held      N is nobody's: goes on
                                        begins a thread: N
            stops the supervisor
        """
        if name not in self._naming:
            return 0
        is_named = holds(self._naming[name], args)
        others = name in NAMING_TASKS and holds(NAMING_TASKS[name], args)
        if not is_named and not others:
            return 0
        for number in numbers_named(name, args) if others else ():
            if self._is_target(number):
                continue
            if is_ours(b"%d" % number):
                is_named = True
            elif not _exists(number):
                return 0 if _is_elsewhere(tid) else errno.ESRCH
        return REFUSED if is_named and not _is_elsewhere(tid) else 0

    def is_named_by_descriptor(self, descriptor: int) -> bool:
        """Whether `descriptor` (a duplicate) is a pidfd or a /proc directory of the supervisor's.

        Also true when it cannot be told. Directories are told by what is in them: procfs may be
        mounted anywhere, and its numbers are those of its own pid namespace.
        """
        own = os.getpid()
        try:
            if on_procfs(descriptor):
                text = _read(descriptor, b"status")
                fields = {} if text is None else procfs.status_fields(text)
                return int(fields.get(b"NStgid", b"0").split()[-1]) == own
            text = _read(procfs.root(), b"self/fdinfo/%d" % descriptor)
        except OSError:
            return True
        found = None if text is None else _PID.search(text)
        return text is None or (found is not None and self._is(int(found[1])))

    def is_named_by_owner(self, owner: bytes) -> bool:
        """Whether the struct f_owner_ex, or the int of FIOSETOWN, names a protected one."""
        (process,) = struct.unpack("=i", owner[-4:])
        return self._is(abs(process))

    def _is(self, number: int) -> bool:
        return number in self.processes or (number > 0 and is_ours(b"%d" % number))


def _read(directory: int, name: bytes) -> bytes | None:
    """What is in a file of procfs; None without such a file."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)


def _exists(number: int) -> bool:
    """Whether some task has the number; threads too (find_vpid in kill_something_info)."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_elsewhere(tid: int) -> bool:
    """Whether a held task is in a pid namespace beneath the supervisor's: no number of its means
    the supervisor there, nor is it among all that the task can see (task_pid_vnr is 0).
    """
    root = procfs.root()

    def look() -> bool:
        names = (b"%d/ns/pid" % tid, b"self/ns/pid")
        theirs, own = (os.readlink(name, dir_fd=root) for name in names)
        return theirs != own

    try:
        return as_supervisor(look)
    except OSError:
        return False

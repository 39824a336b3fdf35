"""What procfs shows of the supervisor: opened by itself it would open for any target.

The kernel asks who looks (ptrace_may_access), and a process may always look at itself: in
proc_fd_permission, __ptrace_may_access and comm_write a thread of the same group passes. Bare, the
caller would be refused: the supervisor is not dumpable.
"""

from __future__ import annotations

import os
from functools import cache

from enforcer.kernel import procfs
from enforcer.kernel.file_status import on_procfs, status

_SHOWN = frozenset(
    {
        b"cgroup",
        b"cmdline",
        b"comm",
        b"limits",
        b"oom_score",
        b"oom_score_adj",
        b"sched",
        b"schedstat",
        b"stat",
        b"statm",
        b"status",
        b"task",
    }
)
"""What everybody may read of any process; directories of processes are listed too."""


@cache
def _device() -> int:
    return os.fstat(procfs.root()).st_dev


def hides(fd: int, *, fixed_root: bool, writes: bool = False) -> bool:
    """Whether `fd` is an object of procfs that tells of the supervisor what others may not see.

    `fixed_root`: the target can have no procfs of its own, but only the supervisor's under other
    names. Also true when it cannot be told.
    """
    if os.fstat(fd).st_dev != _device() and (fixed_root or not on_procfs(fd)):
        return False
    try:
        name = os.readlink(b"self/fd/%d" % fd, dir_fd=procfs.root())
    except OSError:
        return True
    parts = name.split(b"/")
    for place, part in enumerate(parts):
        if part.isdigit() and _is_ours(part):
            rest = parts[place + 1 :]
            if len(rest) > 1 and rest[0] == b"task":
                rest = rest[2:]
            return writes or (bool(rest) and rest[0] not in _SHOWN)
    return False


def _is_ours(number: bytes) -> bool:
    """Whether a process or thread number is one of the supervisor's own."""
    return not isinstance(status(procfs.root(), b"self/task/" + number, 0), int)

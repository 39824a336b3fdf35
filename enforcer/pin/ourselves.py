"""What procfs shows to the supervisor alone, or otherwise than to the task that it acts for.

The kernel asks who looks (ptrace_may_access), and a process may always look at itself: in
proc_fd_permission, __ptrace_may_access and comm_write a thread of the same group passes. Bare, the
caller would be refused: the supervisor is not dumpable.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from enforcer.kernel import procfs
from enforcer.kernel.file_status import on_procfs, status

if TYPE_CHECKING:
    from enforcer.pin.view import View

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


def hides(view: View, fd: int, *, writes: bool = False) -> bool:
    """Whether `fd` is an object of procfs that means something else to the task.

    That is what tells of the supervisor, which others may not see, and the settings of namespaces
    (/proc/sys) where the task has others: they are those of whoever opens the file
    (net_ctl_header_lookup, ipc_permissions). Also true when it cannot be told.
    """
    if os.fstat(fd).st_dev != procfs.device() and (view.fixed_root or not on_procfs(fd)):
        return False
    try:
        name = os.readlink(b"self/fd/%d" % fd, dir_fd=procfs.root())
    except OSError:
        return True
    parts = name.split(b"/")
    if b"sys" in parts and view.has_own_namespaces():
        return True
    for place, part in enumerate(parts):
        if part.isdigit() and is_ours(part):
            rest = parts[place + 1 :]
            if len(rest) > 1 and rest[0] == b"task":
                rest = rest[2:]
            return writes or (bool(rest) and rest[0] not in _SHOWN)
    return False


def is_ours(number: bytes) -> bool:
    """Whether a process or thread number is one of the supervisor's own."""
    return not isinstance(status(procfs.root(), b"self/task/" + number, 0), int)

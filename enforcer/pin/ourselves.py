"""What procfs shows to the supervisor alone, or otherwise than to the task that it acts for.

The kernel asks who looks (ptrace_may_access), and a process may always look at itself: in
proc_fd_permission, __ptrace_may_access and comm_write a thread of the same group passes. Bare, the
caller would be refused: the supervisor is not dumpable.
"""

from __future__ import annotations

import os
from errno import EACCES, ENOENT
from typing import TYPE_CHECKING

from enforcer.kernel import procfs
from enforcer.kernel.file_status import on_procfs, status
from enforcer.kernel.openat2 import RESOLVE_NO_SYMLINKS
from enforcer.kernel.paths import AT_EMPTY_PATH
from enforcer.pin.deputy import pids
from enforcer.pin.identity import is_acting

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


_NUMBERING = frozenset({b"ns_last_pid", b"pid_max"})
"""Settings of a pid namespace (pid_max since Linux 6.14), which no deputy joins."""


def hides(view: View, fd: int, *, writes: bool = False) -> bool:
    """Whether `fd` is an object of procfs that means something else to the task.

    That is what tells of the supervisor, which others may not see, and the settings of namespaces
    (/proc/sys) where the task has others: they are those of whoever opens the file
    (net_ctl_header_lookup, ipc_permissions). Also true when it cannot be told.
    """
    told = view.told_hidden(fd, writes)
    if told is not None:
        return told
    if os.fstat(fd).st_dev != procfs.device() and (view.fixed_root or not on_procfs(fd)):
        return False
    try:
        name = os.readlink(b"self/fd/%d" % fd, dir_fd=procfs.root())
    except OSError:
        return True
    parts = name.split(b"/")
    if b"sys" in parts and (
        view.has_other_settings() or (parts[-1] in _NUMBERING and view.has_other_numbers())
    ):
        return True
    for place, part in enumerate(parts):
        if part.isdigit() and is_ours(part):
            rest = parts[place + 1 :]
            if len(rest) > 1 and rest[0] == b"task":
                rest = rest[2:]
            return writes or (bool(rest) and rest[0] not in _SHOWN)
    return False


def is_ours(number: bytes) -> bool:
    """Whether a process or thread number is one of the supervisor's own, or of its deputies'."""
    if int(number) in pids:
        return True
    return not isinstance(status(procfs.root(), b"self/task/" + number, 0), int)


_PROC_ROOT_INODE = 1
_OWN_LINKS = (b"self", b"thread-self")


def is_own_link(directory: int, leaf: bytes) -> bool:
    """Whether `leaf` is one of the links at the root of a procfs that lead to whoever walks."""
    if leaf not in _OWN_LINKS:
        return False
    facts = status(directory, b"", AT_EMPTY_PATH)
    return not isinstance(facts, int) and facts.ino == _PROC_ROOT_INODE


def own_text(view: View, directory: int, leaf: bytes) -> bytes | int:
    """What such a link says to the task, or -ENOENT where it has no number in that procfs.

    Numbers are those of the pid namespace that the procfs shows (proc_self_get_link).
    """
    if os.fstat(directory).st_dev == procfs.device():
        process, thread = view.tgid, view.tid
    else:
        found = view.number_on(directory)
        if found is None:
            return -ENOENT
        process, thread = found
    return b"%d" % process if leaf == b"self" else b"%d/task/%d" % (process, thread)


_OF_DESCRIPTORS = (b"fd", b"fdinfo")


def open_own_table(view: View, directory: int, leaf: bytes, flags: int) -> int:
    """A directory of the task's descriptors, or an entry of one, as the task itself may open it.

    They are root's where the task has changed its ids since it was executed (task_dump_owner in
    fs/proc/base.c); its own process may search and list them all the same (proc_fd_permission).
    -EACCES for what is another's, or something else.
    """
    if not is_acting() or flags & os.O_ACCMODE or not on_procfs(directory):
        return -EACCES
    if leaf not in _OF_DESCRIPTORS:
        name = os.readlink(b"self/fd/%d" % directory, dir_fd=procfs.root())
        if name.rpartition(b"/")[2] not in _OF_DESCRIPTORS:
            return -EACCES
    found = view.open_own(directory, leaf, flags, RESOLVE_NO_SYMLINKS)
    return -EACCES if found is None else found

"""Descriptors of tasks, taken through pidfds that may be kept.

A pidfd means whoever has its number, from its making until that number is free again (struct pid):
a call held after it was made is that task's, or taking a descriptor fails with ESRCH. So only one
that was made while the call was held has to be validated.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EINVAL, EPERM, ESRCH
from typing import Protocol

from enforcer.kernel.pidfd import PIDFD_THREAD, pidfd_getfd, pidfd_open

_MOST = 256


class Pidfd:
    """Closed with the last use, for another thread may be taking a descriptor through it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Pidfds(dict[int, Pidfd]):
    """Those that are kept, by the tasks' numbers."""

    def keep(self, tid: int, pidfd: Pidfd) -> None:
        """Keep one that surely means the task; beyond 256 the others are forgotten."""
        if len(self) >= _MOST:
            self.clear()
        self[tid] = pidfd


class Task(Protocol):
    """A task as far as it matters here (see View)."""

    tid: int
    validate: Callable[[], None] | None
    pidfds: Pidfds | None

    @property
    def tgid(self) -> int: ...


def duplicate_of(task: Task, descriptor: int) -> int:
    """A close-on-exec duplicate of the task's descriptor, or -errno. Raises TargetGone."""
    kept = None if task.pidfds is None else task.pidfds.get(task.tid)
    if kept is not None:
        result = pidfd_getfd(kept.fd, descriptor)
        if result != -ESRCH:
            return result
    fd = pidfd_open(task.tid, PIDFD_THREAD)
    if fd == -EINVAL:  # before Linux 6.9: none of threads, but of a leader
        if task.tid != task.tgid:
            return -EPERM
        fd = pidfd_open(task.tid)
    pidfd = None if fd < 0 else Pidfd(fd)
    if task.validate is not None:
        task.validate()
    if pidfd is None:
        return -EPERM
    if task.pidfds is not None:
        task.pidfds.keep(task.tid, pidfd)
    return pidfd_getfd(pidfd.fd, descriptor)

"""The seccomp filters of a running thread (PTRACE_SECCOMP_GET_FILTER, Linux 4.4)."""

from __future__ import annotations

import ctypes
import errno
import os

from enforcer.kernel import ptrace
from enforcer.kernel.raw import ADDRESS, SIZE, untyped

_GET_FILTER = 0x420C
_INTERRUPT = 0x4207
_INSTRUCTION_BYTES = 8

_ptrace = untyped("ptrace")


def filters_of(tid: int) -> tuple[bytes, ...]:
    """The filters of thread `tid`, the newest first, each an array of struct sock_filter.

    The thread is stopped for as long as that takes. Raises OSError (ESRCH: no such thread; EPERM:
    not ours to trace, or traced by somebody; EACCES: it needs CAP_SYS_ADMIN, and a caller without a
    filter of its own; EINVAL: no filter), TaskGone.
    """
    ptrace.seize(tid, 0)
    try:
        _request(_INTERRUPT, tid, 0, None)
        _, status = os.waitpid(tid, ptrace.WALL)
        if not os.WIFSTOPPED(status):
            raise ptrace.TaskGone
        return filters_of_stopped(tid)
    finally:
        _detach(tid)


def filters_of_stopped(tid: int) -> tuple[bytes, ...]:
    """The same of a tracee of ours that is stopped already. Raises OSError, TaskGone as above."""
    found: list[bytes] = []
    while (raw := _filter(tid, len(found))) is not None:
        found.append(raw)
    return tuple(reversed(found))


def _filter(tid: int, number: int) -> bytes | None:
    """Filter `number`, counted from the oldest; None: there is none."""
    try:
        length = _request(_GET_FILTER, tid, number, None)
        room = ctypes.create_string_buffer(length * _INSTRUCTION_BYTES)
        _request(_GET_FILTER, tid, number, ctypes.addressof(room))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return room.raw


def _detach(tid: int) -> None:
    try:
        ptrace.let_go(tid, 0)
    except (ptrace.TaskGone, OSError):
        return  # it died meanwhile


def _request(request: int, tid: int, number: int, address: int | None) -> int:
    result: int = _ptrace(request, tid, SIZE(number), ADDRESS(address))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result

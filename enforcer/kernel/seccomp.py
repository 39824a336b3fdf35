"""seccomp(2): loading filters and asking what the kernel knows of them."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from enum import IntFlag
from errno import EBUSY, EFAULT

from enforcer.cbpf.spec import ACTION_NAMES
from enforcer.kernel import procfs
from enforcer.kernel.raw import ADDRESS, INT, LONG, UNSIGNED, raw_call

_SET_MODE_FILTER = 1
_GET_ACTION_AVAIL = 2
_GET_NOTIF_SIZES = 3
_PR_SET_NO_NEW_PRIVS = 38
_INSTRUCTION_BYTES = 8

_seccomp = raw_call("seccomp", arguments=(UNSIGNED, UNSIGNED, ADDRESS))
_prctl = raw_call("prctl", arguments=(INT, LONG, LONG, LONG, LONG))


class FilterFlag(IntFlag):
    """SECCOMP_FILTER_FLAG_*."""

    TSYNC = 1 << 0
    LOG = 1 << 1
    SPEC_ALLOW = 1 << 2
    NEW_LISTENER = 1 << 3
    TSYNC_ESRCH = 1 << 4
    WAIT_KILLABLE_RECV = 1 << 5


_NEEDS_LISTENER = FilterFlag.WAIT_KILLABLE_RECV


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


@dataclass(frozen=True, kw_only=True)
class SeccompStatus:
    """What /proc says of a thread. `mode` 0: off, 1: strict, 2: filter.

    `filters` is the number of filters, None before Linux 5.9.
    """

    mode: int
    filters: int | None
    no_new_privs: bool


def status(pid: int) -> SeccompStatus:
    """The confinement of `pid` as the kernel reports it. Raises OSError.

    A kernel without seccomp reports nothing, which is mode 0.
    """
    fields = procfs.status_fields(procfs.read(pid, "status"))
    filters = fields.get(b"Seccomp_filters")
    return SeccompStatus(
        mode=int(fields.get(b"Seccomp", b"0")),
        filters=None if filters is None else int(filters),
        no_new_privs=int(fields.get(b"NoNewPrivs", b"0")) == 1,
    )


def no_new_privs() -> None:
    """Give up for ever, for the calling thread and what it starts, to gain rights by execve.

    The kernel demands it of who loads a filter without CAP_SYS_ADMIN. Raises OSError.
    """
    _checked(_prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def load_filter(program: bytes, flags: int = 0) -> int:
    """Put the calling thread, for ever, under `program` (an array of struct sock_filter).

    Returns 0, or the listener's descriptor with NEW_LISTENER. Raises OSError: EACCES without
    no_new_privs and CAP_SYS_ADMIN, EINVAL for a program that the kernel refuses, ENOMEM when the
    filters of the thread exceed 32768 instructions together, EBUSY when TSYNC fails or there
    already is a listener.
    """
    code = ctypes.create_string_buffer(program, len(program))
    length = len(program) // _INSTRUCTION_BYTES
    header = _Program(length, ctypes.addressof(code))
    result = _checked(_seccomp(_SET_MODE_FILTER, flags, ctypes.addressof(header)))
    if result > 0 and not flags & FilterFlag.NEW_LISTENER:
        raise OSError(EBUSY, f"thread {result} has filters of its own")
    return result


def is_action_available(action: int) -> bool:
    """Whether the kernel knows an action (SECCOMP_RET_* without data)."""
    value = ctypes.c_uint32(action)
    return _seccomp(_GET_ACTION_AVAIL, 0, ctypes.addressof(value)) == 0


def actions_available() -> frozenset[int]:
    """The actions that the kernel knows; empty without seccomp filters."""
    return frozenset(filter(is_action_available, ACTION_NAMES))


def is_flag_available(flag: FilterFlag) -> bool:
    """Whether the kernel knows a flag."""
    flags = flag | FilterFlag.NEW_LISTENER if flag & _NEEDS_LISTENER else flag
    return are_flags_right(flags)


def are_flags_right(flags: int) -> bool:
    """Whether the kernel takes these. Nothing is loaded: the program's address is wrong."""
    return _seccomp(_SET_MODE_FILTER, flags, None) == -EFAULT


def notification_sizes() -> tuple[int, int, int]:
    """The kernel's sizes of seccomp_notif, seccomp_notif_resp and seccomp_data, in bytes.

    Raises OSError (EINVAL before Linux 5.0).
    """
    sizes = (ctypes.c_uint16 * 3)()
    _checked(_seccomp(_GET_NOTIF_SIZES, 0, ctypes.addressof(sizes)))
    return sizes[0], sizes[1], sizes[2]


def errno_of_call(number: int, *arguments: int) -> int:
    """Make call `number` with up to six registers; the errno it gives, 0 on success.

    One system call and no other, so that it can be made under any filter.
    """
    registers = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    result: int = _syscall(number, *registers)
    return 0 if result != -1 else ctypes.get_errno()


_syscall = ctypes.CFUNCTYPE(LONG, LONG, *[LONG] * 6, use_errno=True)(
    ("syscall", ctypes.CDLL(None, use_errno=True))
)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result

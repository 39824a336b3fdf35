"""prctl(2): the process attributes that keep a supervisor and its target apart."""

from __future__ import annotations

import ctypes
import errno
import os

PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_SET_PTRACER = 0x59616D61

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
_libc.prctl.restype = ctypes.c_int


def _prctl(option: int, argument: int, second: int = 0) -> int:
    result: int = _libc.prctl(option, argument, second, 0, 0)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def forbid_dumping() -> None:
    """Make the caller not dumpable: others of its user can neither trace it nor open its memory.

    Only a holder of CAP_SYS_PTRACE still can. Raises OSError.
    """
    _prctl(PR_SET_DUMPABLE, 0)


def permit_dumping() -> None:
    """Make the caller dumpable again, which a change of ids ended (commit_creds). Raises OSError.

    Before its execve only: nothing of another user's is in its memory by then.
    """
    _prctl(PR_SET_DUMPABLE, 1)


def is_dumpable() -> bool:
    """Whether the caller can be traced by others of its user."""
    return _prctl(PR_GET_DUMPABLE, 0) == 1


def permit_tracer(pid: int) -> bool:
    """Let process `pid` trace the caller under Yama; False where the kernel has no Yama."""
    try:
        _prctl(PR_SET_PTRACER, pid)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def set_name(name: str) -> None:
    """Set the name that ps shows for the calling thread (15 bytes are kept)."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _prctl(PR_SET_NAME, ctypes.addressof(buffer))


def has_in_bounds(capability: int) -> bool:
    """Whether the caller's programs can still get this capability; raises OSError for one that the
    kernel does not know.
    """
    return _prctl(PR_CAPBSET_READ, capability) == 1


def drop_from_bounds(capability: int) -> None:
    """Take a capability out of the bounding set, for good. Raises OSError (EPERM)."""
    _prctl(PR_CAPBSET_DROP, capability)


def keep_capabilities() -> None:
    """Those that are permitted outlive the next change from user id 0. Raises OSError."""
    _prctl(PR_SET_KEEPCAPS, 1)


def raise_ambient(capability: int) -> None:
    """Programs of the caller's get this capability, which it has itself. Raises OSError."""
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)

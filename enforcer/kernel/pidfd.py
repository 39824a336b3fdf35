"""Process descriptors: pidfd_open(2), pidfd_getfd(2), pidfd_send_signal(2), raw."""

from __future__ import annotations

import os

from enforcer.kernel.raw import BYTES, INT, UNSIGNED, raw_call

PIDFD_THREAD = os.O_EXCL

_open = raw_call("pidfd_open", arguments=(INT, UNSIGNED))
_getfd = raw_call("pidfd_getfd", arguments=(INT, INT, UNSIGNED))
_send_signal = raw_call("pidfd_send_signal", arguments=(INT, INT, BYTES, UNSIGNED))


def pidfd_open(pid: int, flags: int = 0) -> int:
    """A descriptor of the process, with PIDFD_THREAD (6.9) of the thread; or -errno.

    Without that flag a thread that is no leader gives -EINVAL (-ENOENT since 6.15).
    """
    return _open(pid, flags)


def pidfd_getfd(pidfd: int, descriptor: int) -> int:
    """A close-on-exec duplicate of `descriptor` of that process, or -errno."""
    return _getfd(pidfd, descriptor, 0)


def pidfd_send_signal(pidfd: int, number: int, info: bytes | None, flags: int) -> int:
    """0 or -errno; `info` is a whole siginfo_t."""
    return _send_signal(pidfd, number, info, flags)

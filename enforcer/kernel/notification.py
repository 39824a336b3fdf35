"""The listener of seccomp user notification: linux/seccomp.h, seccomp_unotify(2).

Every function takes the listener's descriptor; an id that is no longer held gives ENOENT. Requests
are bytearrays: of bytes fcntl.ioctl first tries whether they can be written to, and makes an error
message, which takes as long as the request.
"""

from __future__ import annotations

import struct
from errno import EINVAL, ENOENT
from fcntl import ioctl

from enforcer.kernel.ioctl import both_ways, to_kernel

NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, pid (a thread's), flags, nr, arch, instruction pointer, six args."""

_RESPONSE = struct.Struct("=QqiI")
_ADDFD = struct.Struct("=QIIII")
_ID = struct.Struct("=Q")

_RESPONSE_CONTINUE = 1
_ADDFD_SETFD = 1
_SYNC_WAKE_UP = 1
_O_CLOEXEC = 0o2000000


_RECV = both_ways("!", 0, NOTIFICATION.size)
_SEND = both_ways("!", 1, _RESPONSE.size)
_ID_VALID = to_kernel("!", 2, _ID.size)
_ADD = to_kernel("!", 3, _ADDFD.size)
_SET_FLAGS = to_kernel("!", 4, 8)


def receive(listener: int) -> bytearray:
    """Wait for the next held call: one NOTIFICATION. Raises OSError (ENOENT: gone, EINTR)."""
    held = bytearray(NOTIFICATION.size)
    ioctl(listener, _RECV, held)
    return held


def is_held(listener: int, cookie: int) -> bool:
    """Whether the call is still held: its task is alive and was not interrupted."""
    try:
        ioctl(listener, _ID_VALID, bytearray(_ID.pack(cookie)))
    except OSError as error:
        if error.errno == ENOENT:
            return False
        raise
    return True


def answer(listener: int, cookie: int, result: int) -> bool:
    """Give the held call this result, or -errno; False when it is no longer held."""
    value, error = (result, 0) if result >= 0 else (0, result)
    return _send(listener, _RESPONSE.pack(cookie, value, error, 0))


def let_continue(listener: int, cookie: int) -> bool:
    """Let the kernel carry the call out, which then reads its arguments anew."""
    return _send(listener, _RESPONSE.pack(cookie, 0, 0, _RESPONSE_CONTINUE))


def _send(listener: int, response: bytes) -> bool:
    try:
        ioctl(listener, _SEND, bytearray(response))
    except OSError as error:
        if error.errno == ENOENT:
            return False
        raise
    return True


def place_descriptor(listener: int, cookie: int, descriptor: int, close_on_exec: bool) -> int:
    """Place a duplicate of `descriptor` in the target, whose call stays held.

    Its number there, or -errno (EMFILE: the target's table is full, ENOENT: the call is no longer
    held).
    """
    flags = _O_CLOEXEC if close_on_exec else 0
    request = bytearray(_ADDFD.pack(cookie, 0, descriptor, 0, flags))
    try:
        number: int = ioctl(listener, _ADD, request)
    except OSError as error:
        return -(error.errno or EINVAL)
    return number


def replace_descriptor(listener: int, cookie: int, descriptor: int, number: int) -> None:
    """Put a close-on-exec duplicate of `descriptor` at `number` in the target. Raises OSError."""
    ioctl(listener, _ADD, _ADDFD.pack(cookie, _ADDFD_SETFD, descriptor, number, _O_CLOEXEC))


def wake_synchronously(listener: int) -> bool:
    """Let supervisor and target take turns on one CPU (6.6); False where the kernel cannot."""
    try:
        ioctl(listener, _SET_FLAGS, _SYNC_WAKE_UP)
    except OSError as error:
        if error.errno == EINVAL:
            return False
        raise
    return True

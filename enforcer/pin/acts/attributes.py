"""Calls that change an object's mode, owner, times or size."""

from __future__ import annotations

import os
import signal
import stat
import struct
from collections.abc import Callable, Mapping
from errno import EFBIG, EINVAL

from enforcer.kernel.file_status import status
from enforcer.kernel.paths import (
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    faccessat2,
    fchmodat,
    fchmodat2,
    fchownat,
    truncate,
    utimensat,
)
from enforcer.kernel.sockets import signal_thread
from enforcer.pin.identity import as_supervisor
from enforcer.pin.request import NOTHING_TO_DO, Act, Request
from enforcer.pin.view import own, through
from enforcer.syscalls import syscall
from enforcer.syscalls.model import Kind

_MODE = 0xFFFF
_MILLION = 1_000_000
_UTIME_OMIT = 0x3FFF_FFFE
_INVALID = -1
_LOW_HALF = 0xFFFF_FFFF
_DIRECT = {"futimesat": 1, "utimensat": 1, "utimensat_time64": 1}
"""Calls that take a descriptor instead of a name, by the register that is null then."""
_AT_FLAGS = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH

Times = tuple[int, int, int, int] | None
"""Seconds and nanoseconds of access and of change; None: now."""


def _chmod(request: Request) -> int:
    mode = request.uint32(2 if request.call == "fchmodat" else 1) & _MODE
    return fchmodat(*own(request.pins[0].fd), mode)


def _fchmodat2(request: Request) -> int:
    flags = request.uint32(3)
    return fchmodat2(request.pins[0].fd, b"", request.uint32(2) & _MODE, flags | AT_EMPTY_PATH)


def _chown(request: Request) -> int:
    ids: list[int] = []
    for argument in syscall(request.call, request.abi.name).arguments:
        if argument.kind in (Kind.UID, Kind.GID):
            value = request.args[argument.index] & argument.mask
            ids.append(0xFFFF_FFFF if value == argument.mask else value)
    return fchownat(request.pins[0].fd, b"", ids[0], ids[1], AT_EMPTY_PATH)


def _utime_times(request: Request) -> Times:
    if not request.pointer(1):
        return None
    long = request.long
    seconds = request.unpack(2 * long, request.read(1, 2 * struct.calcsize("=" + long)))
    return seconds[0], 0, seconds[1], 0


def _utimes_times(request: Request) -> Times:
    index = 2 if request.call == "futimesat" else 1
    if not request.pointer(index):
        return None
    long = request.long
    values = request.unpack(4 * long, request.read(index, 4 * struct.calcsize("=" + long)))
    if not (0 <= values[1] < _MILLION and 0 <= values[3] < _MILLION):
        return values[0], _INVALID, values[2], _INVALID
    return values[0], values[1] * 1000, values[2], values[3] * 1000


def _utimensat_times(request: Request) -> Times:
    if not request.pointer(2):
        return None
    field = "q" if request.call == "utimensat_time64" else request.long
    values = request.unpack(4 * field, request.read(2, 4 * struct.calcsize("=" + field)))
    if request.abi.bits == 32:  # where they are padding (get_timespec64)
        values = tuple(each & _LOW_HALF if at & 1 else each for at, each in enumerate(values))
    return values[0], values[1], values[2], values[3]


_TIMES: Mapping[str, Callable[[Request], Times]] = {
    "utime": _utime_times,
    "utimes": _utimes_times,
    "futimesat": _utimes_times,
    "utimensat": _utimensat_times,
    "utimensat_time64": _utimensat_times,
}


def _set_times(request: Request) -> int:
    times = _TIMES[request.call](request)
    packed = None if times is None else struct.pack("=4q", *times)
    return utimensat(request.pins[0].fd, b"", packed, AT_EMPTY_PATH)


def _check_times(request: Request) -> int:
    times = _TIMES[request.call](request)
    if times is not None:
        is_in_nanoseconds = request.call.startswith("utimensat")
        if is_in_nanoseconds and times[1] == times[3] == _UTIME_OMIT:
            return NOTHING_TO_DO
        if not is_in_nanoseconds and _INVALID in times[1::2]:
            return -EINVAL
    place = _DIRECT.get(request.call)
    is_direct = place is not None and not request.pointer(place)
    is_direct = is_direct and request.int32(0) != AT_FDCWD
    if request.call.startswith("utimensat") and request.int32(3) & ~(0 if is_direct else _AT_FLAGS):
        return -EINVAL
    return 0


def _check_chown(request: Request) -> int:
    return -EINVAL if request.int32(4) & ~_AT_FLAGS else 0


def _check_chmod(request: Request) -> int:
    return -EINVAL if request.uint32(3) & ~_AT_FLAGS else 0


def _check_truncate(request: Request) -> int:
    return -EINVAL if _length(request) < 0 else 0


def _length(request: Request) -> int:
    length = request.word(1)
    if request.call == "truncate64" and request.abi.bits == 32:
        low = syscall(request.call, request.abi.name).arguments[1].index
        halves = (request.uint32(low), request.uint32(low + 1))
        upper, lower = halves if request.abi.big_endian else halves[::-1]
        length = upper << 32 | lower
        length -= (length >> 63) << 64
    return length


def _truncate(request: Request) -> int:
    fd, length = request.pins[0].fd, _length(request)
    view = request.view
    if length > view.file_size_limit():
        # The limit is the caller's, and what exceeds it is told by a signal too, when everything
        # else has been found right (inode_newsize_ok in fs/attr.c).
        facts = status(fd, b"", AT_EMPTY_PATH)
        if not isinstance(facts, int) and stat.S_ISREG(facts.mode) and length > facts.size:
            wrong = faccessat2(fd, b"", os.W_OK, AT_EMPTY_PATH | AT_EACCESS)
            if not wrong:
                as_supervisor(lambda: signal_thread(view.tgid, view.tid, signal.SIGXFSZ))
            return wrong or -EFBIG
    return truncate(through(fd), length)


CHECKS: Mapping[str, Act] = {
    "utime": _check_times,
    "utimes": _check_times,
    "futimesat": _check_times,
    "utimensat": _check_times,
    "utimensat_time64": _check_times,
    "fchownat": _check_chown,
    "fchmodat2": _check_chmod,
    "truncate": _check_truncate,
    "truncate64": _check_truncate,
}

ACTS: Mapping[str, Act] = {
    "chmod": _chmod,
    "fchmodat": _chmod,
    "fchmodat2": _fchmodat2,
    "chown": _chown,
    "chown32": _chown,
    "fchmod": _chmod,
    "fchown": _chown,
    "fchown32": _chown,
    "lchown": _chown,
    "lchown32": _chown,
    "fchownat": _chown,
    "utime": _set_times,
    "utimes": _set_times,
    "futimesat": _set_times,
    "utimensat": _set_times,
    "utimensat_time64": _set_times,
    "truncate": _truncate,
    "truncate64": _truncate,
}

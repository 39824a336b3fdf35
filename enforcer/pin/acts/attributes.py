"""Calls that change an object's mode, owner, times or size."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from errno import EINVAL

from enforcer.kernel.paths import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    fchmodat,
    fchmodat2,
    fchownat,
    truncate,
    utimensat,
)
from enforcer.pin.request import Act, Request
from enforcer.pin.view import through
from enforcer.syscalls import syscall
from enforcer.syscalls.model import Kind

_MODE = 0xFFFF
_MILLION = 1_000_000


def _chmod(request: Request) -> int:
    mode = request.uint32(2 if request.call == "fchmodat" else 1) & _MODE
    return fchmodat(AT_FDCWD, through(request.pins[0].fd), mode)


def _fchmodat2(request: Request) -> int:
    flags = request.uint32(3)
    return fchmodat2(request.pins[0].fd, b"", request.uint32(2) & _MODE, flags | AT_EMPTY_PATH)


def _chown(request: Request) -> int:
    ids: list[int] = []
    flags = 0
    for argument in syscall(request.call, request.abi.name).arguments:
        if argument.kind in (Kind.UID, Kind.GID):
            value = request.args[argument.index] & argument.mask
            ids.append(0xFFFF_FFFF if value == argument.mask else value)
        elif argument.kind is Kind.FLAGS:
            flags = request.int32(argument.index)
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        return -EINVAL
    return fchownat(request.pins[0].fd, b"", ids[0], ids[1], AT_EMPTY_PATH)


def _set_times(request: Request, times: tuple[int, ...] | None, flags: int = 0) -> int:
    """`times` are seconds and nanoseconds of access and change."""
    packed = None if times is None else struct.pack("=4q", *times)
    return utimensat(request.pins[0].fd, b"", packed, flags | AT_EMPTY_PATH)


def _utime(request: Request) -> int:
    if not request.pointer(1):
        return _set_times(request, None)
    long = request.long
    seconds = request.unpack(2 * long, request.read(1, 2 * struct.calcsize("=" + long)))
    return _set_times(request, (seconds[0], 0, seconds[1], 0))


def _utimes(request: Request) -> int:
    index = 2 if request.call == "futimesat" else 1
    if not request.pointer(index):
        return _set_times(request, None)
    long = request.long
    values = request.unpack(4 * long, request.read(index, 4 * struct.calcsize("=" + long)))
    if not (0 <= values[1] < _MILLION and 0 <= values[3] < _MILLION):
        return -EINVAL
    return _set_times(request, (values[0], values[1] * 1000, values[2], values[3] * 1000))


def _utimensat(request: Request) -> int:
    flags = request.int32(3)
    if not request.pointer(2):
        return _set_times(request, None, flags)
    field = "q" if request.call == "utimensat_time64" else request.long
    values = request.unpack(4 * field, request.read(2, 4 * struct.calcsize("=" + field)))
    return _set_times(request, values, flags)


def _truncate(request: Request) -> int:
    length = request.word(1)
    if request.call == "truncate64" and request.abi.bits == 32:
        low = syscall(request.call, request.abi.name).arguments[1].index
        halves = (request.uint32(low), request.uint32(low + 1))
        upper, lower = halves if request.abi.big_endian else halves[::-1]
        length = upper << 32 | lower
        length -= (length >> 63) << 64
    return truncate(through(request.pins[0].fd), length)


ACTS: Mapping[str, Act] = {
    "chmod": _chmod,
    "fchmodat": _chmod,
    "fchmodat2": _fchmodat2,
    "chown": _chown,
    "chown32": _chown,
    "lchown": _chown,
    "lchown32": _chown,
    "fchownat": _chown,
    "utime": _utime,
    "utimes": _utimes,
    "futimesat": _utimes,
    "utimensat": _utimensat,
    "utimensat_time64": _utimensat,
    "truncate": _truncate,
    "truncate64": _truncate,
}

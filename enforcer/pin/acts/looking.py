"""Calls that look at an object and write what they see into the task's memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from errno import EACCES, EINVAL, ENOSYS

from enforcer.kernel.file_status import file_system, on_procfs, status, statx_bytes
from enforcer.kernel.paths import (
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    faccessat,
    faccessat2,
    readlinkat,
)
from enforcer.pin.identity import has_other_ids
from enforcer.pin.layouts import STATFS64_SIZES, pack_stat, pack_statfs
from enforcer.pin.ourselves import hides, is_own_link, own_text
from enforcer.pin.pinned import Pinned
from enforcer.pin.request import Act, Request
from enforcer.pin.resolution import resolve
from enforcer.pin.view import View, own, strip_root

_AT_NO_AUTOMOUNT = 0x800
_AT_STATX_SYNC = 0x6000
_STATX_FLAGS = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | _AT_NO_AUTOMOUNT | _AT_STATX_SYNC
_STATX_RESERVED = 0x8000_0000
_ACCESS_MODES = 7
_ACCESS_FLAGS = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EACCESS


def _stat(request: Request) -> int:
    index = 1
    if request.call in ("newfstatat", "fstatat64"):
        index = 2
    facts = status(request.pins[0].fd, b"", AT_EMPTY_PATH)
    if isinstance(facts, int):
        return facts
    packed = pack_stat(request.abi, request.call, facts)
    if isinstance(packed, int):
        return packed
    request.write(index, packed)
    return 0


def _statx(request: Request) -> int:
    flags = request.uint32(2)
    raw = statx_bytes(
        request.pins[0].fd, b"", flags & _AT_STATX_SYNC | AT_EMPTY_PATH, request.uint32(3)
    )
    if isinstance(raw, int):
        return raw
    request.write(4, raw)
    return 0


def _access(request: Request) -> int:
    first = 1 if request.call == "access" else 2
    flags = request.int32(3) if request.call == "faccessat2" else 0
    mode = request.int32(first)
    fd = request.pins[0].fd
    if has_other_ids():
        flags |= AT_EACCESS  # the thread's file-system ids are those to be asked about
    result = faccessat2(fd, b"", mode, flags | AT_EMPTY_PATH)
    if result == -ENOSYS and not flags:
        return faccessat(*own(fd), mode)
    return result


def _readlink(request: Request) -> int:
    first = 2 if request.call == "readlinkat" else 1
    size = request.int32(first + 1)
    pinned = request.pins[0]
    text = _own_text(request)
    if text is None:
        text = _text(request.view, pinned)
    elif isinstance(text, int):
        return text
    if isinstance(text, int):
        return text if pinned.unnamed else -EINVAL
    if on_procfs(pinned.fd):
        if hides(request.view, pinned.fd):
            return -EACCES
        if text[:1] == b"/":
            text = strip_root(request.view, text)
    request.write(first, text[:size])
    return min(len(text), size)


def _text(view: View, pinned: Pinned) -> bytes | int:
    text = readlinkat(pinned.fd, b"")
    if text != -EACCES or pinned.parent < 0 or not on_procfs(pinned.parent):
        return text
    # proc_pid_readlink lets a process read its own, whatever its ids have become.
    found = view.own_text(pinned.parent, pinned.leaf)
    return text if found is None else found


def _own_text(request: Request) -> bytes | int | None:
    """The text of `self` or `thread-self` of a procfs as the task would read it, or -errno.

    None for any other object.
    """
    pinned = request.pins[0]
    head, _, leaf = os.fsencode(pinned.name).rpartition(b"/")
    if leaf not in (b"self", b"thread-self") or not on_procfs(pinned.fd):
        return None
    with resolve(request.view, AT_FDCWD, head or b"/") as directory:
        if not directory.exists or not is_own_link(directory.fd, leaf):
            return None
        return own_text(request.view, directory.fd, leaf)


def _statfs(request: Request) -> int:
    index = 1
    if request.call == "statfs64":
        index = 2
    facts = file_system(request.pins[0].fd)
    if isinstance(facts, int):
        return facts
    packed = pack_statfs(request.abi, request.call, facts)
    if isinstance(packed, int):
        return packed
    request.write(index, packed)
    return 0


def _check_stat(request: Request) -> int:
    return -EINVAL if request.int32(3) & ~_STATX_FLAGS else 0


def _check_statx(request: Request) -> int:
    flags, mask = request.uint32(2), request.uint32(3)
    is_wrong = flags & ~_STATX_FLAGS or flags & _AT_STATX_SYNC == _AT_STATX_SYNC
    return -EINVAL if is_wrong or mask & _STATX_RESERVED else 0


def _check_access(request: Request) -> int:
    first = 1 if request.call == "access" else 2
    flags = request.int32(3) if request.call == "faccessat2" else 0
    is_wrong = request.int32(first) & ~_ACCESS_MODES or flags & ~_ACCESS_FLAGS
    return -EINVAL if is_wrong else 0


def _check_readlink(request: Request) -> int:
    return -EINVAL if request.int32(3 if request.call == "readlinkat" else 2) <= 0 else 0


def _check_statfs64(request: Request) -> int:
    return 0 if request.size(1) in STATFS64_SIZES[request.abi.name] else -EINVAL


CHECKS: Mapping[str, Act] = {
    "newfstatat": _check_stat,
    "fstatat64": _check_stat,
    "statx": _check_statx,
    "access": _check_access,
    "faccessat": _check_access,
    "faccessat2": _check_access,
    "readlink": _check_readlink,
    "readlinkat": _check_readlink,
    "statfs64": _check_statfs64,
}

ACTS: Mapping[str, Act] = {
    "oldstat": _stat,
    "oldlstat": _stat,
    "stat": _stat,
    "lstat": _stat,
    "newfstatat": _stat,
    "stat64": _stat,
    "lstat64": _stat,
    "fstatat64": _stat,
    "statx": _statx,
    "access": _access,
    "faccessat": _access,
    "faccessat2": _access,
    "readlink": _readlink,
    "readlinkat": _readlink,
    "statfs": _statfs,
    "statfs64": _statfs,
}

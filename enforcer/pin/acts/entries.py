"""Calls on directory entries: done in the pinned directory, the last step left to the kernel."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from errno import EINVAL, ENOENT, EPERM

from enforcer.kernel.paths import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    linkat,
    mkdirat,
    mknodat,
    renameat2,
    symlinkat,
    unlinkat,
)
from enforcer.pin.caller import take_umask
from enforcer.pin.pinned import Pinned
from enforcer.pin.request import Act, Request
from enforcer.pin.view import own

_MODE = 0xFFFF
_NOREPLACE, _EXCHANGE, _WHITEOUT = 1, 2, 4
_NODES = frozenset({0, stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK})


def _entry(pinned: Pinned) -> tuple[int, bytes]:
    """Where the entry is; for the root, which is no entry, a name that fails in the same way."""
    return (pinned.parent, pinned.leaf) if pinned.parent >= 0 else (AT_FDCWD, b"/")


def _mkdir(request: Request) -> int:
    take_umask(request.view)
    mode = request.uint32(2 if request.call == "mkdirat" else 1) & _MODE
    return mkdirat(*_entry(request.pins[0]), mode)


def _mknod(request: Request) -> int:
    take_umask(request.view)
    first = 2 if request.call == "mknodat" else 1
    mode, device = request.uint32(first) & _MODE, request.uint32(first + 1)
    return mknodat(*_entry(request.pins[0]), mode, device)


def _unlink(request: Request) -> int:
    return unlinkat(*_entry(request.pins[0]), 0)


def _unlinkat(request: Request) -> int:
    return unlinkat(*_entry(request.pins[0]), request.int32(2))


def _rmdir(request: Request) -> int:
    return unlinkat(*_entry(request.pins[0]), AT_REMOVEDIR)


def _rename(request: Request) -> int:
    flags = request.uint32(4) if request.call == "renameat2" else 0
    return renameat2(*_entry(request.pins[0]), *_entry(request.pins[1]), flags)


def _link(request: Request) -> int:
    old, new = request.pins
    flags = request.int32(4) if request.call == "linkat" else 0
    if old.parent >= 0 and not flags & AT_SYMLINK_FOLLOW:
        return linkat(old.parent, old.leaf, *_entry(new), 0)
    return linkat(*own(old.fd), *_entry(new), AT_SYMLINK_FOLLOW)


def _symlink(request: Request) -> int:
    return symlinkat(request.string(0), *_entry(request.pins[0]))


def _check_mknod(request: Request) -> int:
    kind = stat.S_IFMT(request.uint32(2 if request.call == "mknodat" else 1) & _MODE)
    if kind == stat.S_IFDIR:
        return -EPERM
    return 0 if kind in _NODES else -EINVAL


def _check_unlinkat(request: Request) -> int:
    return -EINVAL if request.int32(2) & ~AT_REMOVEDIR else 0


def _check_renameat2(request: Request) -> int:
    flags = request.uint32(4)
    if flags & ~(_NOREPLACE | _EXCHANGE | _WHITEOUT):
        return -EINVAL
    return -EINVAL if flags & _EXCHANGE and flags & ~_EXCHANGE else 0


def _check_linkat(request: Request) -> int:
    return -EINVAL if request.int32(4) & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) else 0


def _check_symlink(request: Request) -> int:
    return 0 if request.string(0) else -ENOENT


CHECKS: Mapping[str, Act] = {
    "mknod": _check_mknod,
    "mknodat": _check_mknod,
    "unlinkat": _check_unlinkat,
    "renameat2": _check_renameat2,
    "linkat": _check_linkat,
    "symlink": _check_symlink,
    "symlinkat": _check_symlink,
}

ACTS: Mapping[str, Act] = {
    "mkdir": _mkdir,
    "mkdirat": _mkdir,
    "mknod": _mknod,
    "mknodat": _mknod,
    "unlink": _unlink,
    "unlinkat": _unlinkat,
    "rmdir": _rmdir,
    "rename": _rename,
    "renameat": _rename,
    "renameat2": _rename,
    "link": _link,
    "linkat": _link,
    "symlink": _symlink,
    "symlinkat": _symlink,
}

"""Calls on extended attributes."""

from __future__ import annotations

from collections.abc import Mapping
from errno import E2BIG, EINVAL, ENAMETOOLONG, ERANGE

from enforcer.kernel.extended_attributes import (
    XATTR_NAME_MAX,
    XATTR_SIZE_MAX,
    getxattr,
    listxattr,
    removexattr,
    setxattr,
)
from enforcer.kernel.paths import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
from enforcer.pin.request import Act, Request
from enforcer.pin.view import through
from enforcer.supervision.memory import UnreadableMemory

_CREATE, _REPLACE = 1, 2
_VALUE = 6
"""No register: where a request keeps a value that a struct points to."""
_ARGS_SIZE = 16  # struct xattr_args: value (u64), size (u32), flags (u32)
_MOST_ARGS = 4096


def _name(request: Request, index: int) -> bytes | int:
    """The attribute's name, or -ERANGE for one that is empty or too long."""
    try:
        name = request.string(index)
    except UnreadableMemory as error:
        if error.errno == ENAMETOOLONG:
            return -ERANGE
        raise
    return name if 0 < len(name) <= XATTR_NAME_MAX else -ERANGE


def _path(request: Request) -> bytes:
    return through(request.pins[0].fd)


def _get(request: Request) -> int:
    name = _name(request, 1)
    if isinstance(name, int):
        return name
    result, value = getxattr(_path(request), name, request.size(3))
    if value:
        request.write(2, value)
    return result


def _set(request: Request) -> int:
    name = request.string(1)
    size = request.size(3)
    value = request.read(2, size) if size else b""
    return setxattr(_path(request), name, value, size, request.int32(4))


def _check_set(request: Request) -> int:
    """Flags, name and value in the order of setxattr_copy (fs/xattr.c)."""
    if request.int32(4) & ~(_CREATE | _REPLACE):
        return -EINVAL
    name = _name(request, 1)
    if isinstance(name, int):
        return name
    size = request.size(3)
    if size > XATTR_SIZE_MAX:
        return -E2BIG
    if size:
        request.read(2, size)
    return 0


def _list(request: Request) -> int:
    result, names = listxattr(_path(request), request.size(2))
    if names:
        request.write(1, names)
    return result


def _remove(request: Request) -> int:
    name = _name(request, 1)
    return name if isinstance(name, int) else removexattr(_path(request), name)


def _has_bad_flags(request: Request) -> bool:
    return bool(request.uint32(2) & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))


def _arguments(request: Request) -> tuple[int, int, int] | int:
    """value, size and flags of struct xattr_args, or -errno."""
    size = request.size(5)
    if size < _ARGS_SIZE:
        return -EINVAL
    if size > _MOST_ARGS:
        return -E2BIG
    raw = request.read(4, size)
    if any(raw[_ARGS_SIZE:]):
        return -E2BIG
    value, length, flags = request.unpack("QII", raw[:_ARGS_SIZE])
    return value, length, flags


def _getat(request: Request) -> int:
    arguments = _arguments(request)
    if isinstance(arguments, int):
        return arguments
    address, size, _ = arguments
    result, value = getxattr(_path(request), request.string(3), size)
    if value:
        request.view.write_bytes(address, value)
    return result


def _check_getat(request: Request) -> int:
    arguments = _arguments(request)
    if isinstance(arguments, int):
        return arguments
    return -EINVAL if arguments[2] else _check_named_at(request)


def _setat(request: Request) -> int:
    arguments = _arguments(request)
    if isinstance(arguments, int):
        return arguments
    _, size, flags = arguments
    value = request.given.get(_VALUE, b"")
    return setxattr(_path(request), request.string(3), value, size, flags)


def _check_setat(request: Request) -> int:
    arguments = _arguments(request)
    if isinstance(arguments, int):
        return arguments
    address, size, flags = arguments
    if _has_bad_flags(request) or flags & ~(_CREATE | _REPLACE):
        return -EINVAL
    wrong = _check_named_at(request)
    if wrong:
        return wrong
    if size > XATTR_SIZE_MAX:
        return -E2BIG
    if size:
        request.given[_VALUE] = request.view.read_bytes(address, size)
    return 0


def _listat(request: Request) -> int:
    result, names = listxattr(_path(request), request.size(4))
    if names:
        request.write(3, names)
    return result


def _removeat(request: Request) -> int:
    return removexattr(_path(request), request.string(3))


def _check_flags(request: Request) -> int:
    return -EINVAL if _has_bad_flags(request) else 0


def _check_named_at(request: Request) -> int:
    if _has_bad_flags(request):
        return -EINVAL
    name = _name(request, 3)
    return name if isinstance(name, int) else 0


def _check_name(request: Request) -> int:
    name = _name(request, 1)
    return name if isinstance(name, int) else 0


CHECKS: Mapping[str, Act] = {
    "getxattr": _check_name,
    "lgetxattr": _check_name,
    "setxattr": _check_set,
    "lsetxattr": _check_set,
    "fsetxattr": _check_set,
    "removexattr": _check_name,
    "lremovexattr": _check_name,
    "fremovexattr": _check_name,
    "getxattrat": _check_getat,
    "setxattrat": _check_setat,
    "listxattrat": _check_flags,
    "removexattrat": _check_named_at,
}

ACTS: Mapping[str, Act] = {
    "getxattr": _get,
    "lgetxattr": _get,
    "setxattr": _set,
    "lsetxattr": _set,
    "fsetxattr": _set,
    "listxattr": _list,
    "llistxattr": _list,
    "removexattr": _remove,
    "lremovexattr": _remove,
    "fremovexattr": _remove,
    "getxattrat": _getat,
    "setxattrat": _setat,
    "listxattrat": _listat,
    "removexattrat": _removeat,
}

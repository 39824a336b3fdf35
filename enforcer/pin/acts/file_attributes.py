"""file_getattr and file_setattr: the file system's own attributes of a pinned object."""

from __future__ import annotations

from collections.abc import Mapping
from errno import E2BIG, EINVAL

from enforcer.kernel.paths import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    file_getattr,
    file_setattr,
)
from enforcer.pin.request import Act, Request
from enforcer.pin.view import own

_SMALLEST = 24  # FILE_ATTR_SIZE_VER0
_LARGEST = 4096  # a page; x86-64's is the smallest of any supported machine


def _get(request: Request) -> int:
    found = file_getattr(*own(request.pins[0].fd), request.size(3))
    if isinstance(found, int):
        return found
    request.write(2, found)
    return 0


def _set(request: Request) -> int:
    size = request.size(3)
    return file_setattr(*own(request.pins[0].fd), request.read(2, size), size, 0)


def _check_get(request: Request) -> int:
    """As in SYSCALL_DEFINE5(file_getattr) (fs/file_attr.c)."""
    if request.uint32(4) & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        return -EINVAL
    size = request.size(3)
    if size > _LARGEST:
        return -E2BIG
    return -EINVAL if size < _SMALLEST else 0


def _check_set(request: Request) -> int:
    """The kernel itself says what it thinks of the struct, before it looks at the (empty) name."""
    wrong = _check_get(request)
    if wrong:
        return wrong
    size = request.size(3)
    result = file_setattr(AT_FDCWD, b"", request.read(2, size), size, 0)
    return result if result in (-EINVAL, -E2BIG) else 0


CHECKS: Mapping[str, Act] = {"file_getattr": _check_get, "file_setattr": _check_set}

ACTS: Mapping[str, Act] = {"file_getattr": _get, "file_setattr": _set}

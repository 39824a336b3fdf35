"""name_to_handle_at: the handle of a pinned object. To open by one is another call, and refused."""

from __future__ import annotations

from collections.abc import Mapping
from errno import EINVAL, EOVERFLOW

from enforcer.kernel.paths import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_HANDLE_MNT_ID_UNIQUE,
    AT_SYMLINK_FOLLOW,
    name_to_handle_at,
)
from enforcer.pin.request import Act, Request
from enforcer.pin.view import own

_HEADER = "Ii"  # struct file_handle up to f_handle: handle_bytes, handle_type
_HEADER_SIZE = 8


def _to_handle(request: Request) -> int:
    """As do_sys_name_to_handle (fs/fhandle.c): where the handle has no room, its length is told."""
    flags = request.uint32(4)
    room, _ = request.unpack(_HEADER, request.read(2, _HEADER_SIZE))
    # AT_HANDLE_CONNECTABLE excludes AT_EMPTY_PATH: the object is named by a descriptor of ours.
    asked = flags & ~AT_EMPTY_PATH | AT_SYMLINK_FOLLOW
    found = name_to_handle_at(*own(request.pins[0].fd), room, asked)
    if found.result in (0, -EOVERFLOW):
        wide = "Q" if flags & AT_HANDLE_MNT_ID_UNIQUE else "I"
        request.write(3, request.pack(wide, found.mount))
        request.write(2, request.pack(_HEADER, found.length, found.kind) + found.text)
    return found.result


def _check(request: Request) -> int:
    """The kernel looks at the flags before the name, and at the handle only after it."""
    wrong = name_to_handle_at(AT_FDCWD, b"", 0, request.uint32(4)).result
    return wrong if wrong == -EINVAL else 0


CHECKS: Mapping[str, Act] = {"name_to_handle_at": _check}

ACTS: Mapping[str, Act] = {"name_to_handle_at": _to_handle}

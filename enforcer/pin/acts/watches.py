"""inotify_add_watch: the pinned object is added to a duplicate of the task's own descriptor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from errno import EFAULT

from enforcer.kernel.paths import inotify_add_watch
from enforcer.pin.request import Act, Request
from enforcer.pin.view import release, through

_IN_DONT_FOLLOW = 0x0200_0000


def _add_watch(request: Request) -> int:
    # The name was resolved already; following now only leads through the descriptor.
    mask = request.uint32(2) & ~_IN_DONT_FOLLOW
    fd = request.view.duplicate(request.int32(0))
    if fd < 0:
        return fd
    try:
        return inotify_add_watch(fd, through(request.pins[0].fd), mask)
    finally:
        os.close(fd)


def _check_watch(request: Request) -> int:
    """What the kernel says to the descriptor and the mask: it looks at both before the name."""
    fd = request.view.duplicate(request.int32(0))
    try:
        result = inotify_add_watch(fd, None, request.uint32(2))
    finally:
        release(fd)
    return 0 if result == -EFAULT else result


CHECKS: Mapping[str, Act] = {"inotify_add_watch": _check_watch}

ACTS: Mapping[str, Act] = {"inotify_add_watch": _add_watch}

"""What a socket itself says to a path, before anybody walks it.

The kernel looks at the descriptor first, and only a UNIX socket walks the path; whoever judges a
path for a task has walked it before, and puts the errors back into that order.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Callable
from errno import EBADF, EINVAL, ENOTSOCK


def path_refusal(descriptor: int, attempt: Callable[[int], int]) -> int:
    """Why a descriptor (ours, or -errno) takes no path at all: an errno, or 0 for a UNIX socket.

    `attempt` makes the call with the caller's own copy of the address and gives 0 or -errno;
    sockets of the internet families are asked so, because they refuse every path.
    """
    if descriptor < 0:
        return -descriptor
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_PATH:
        return EBADF
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return ENOTSOCK
    family, kind = kind_of(descriptor)
    if family == socket.AF_UNIX:
        return 0
    # A raw socket would be bound to what a path's bytes are as an address (raw_bind).
    if family in (socket.AF_INET, socket.AF_INET6) and kind != socket.SOCK_RAW:
        return -attempt(descriptor) or EINVAL
    return EINVAL


def family_of(descriptor: int) -> int:
    """The address family of a socket; AF_UNSPEC for what is none."""
    return kind_of(descriptor)[0]


def kind_of(descriptor: int) -> tuple[int, int]:
    """The address family and the type of a socket; AF_UNSPEC and 0 for what is none."""
    try:
        # Python asks every descriptor for its name: ENOTSOCK of a file, EBADF of an O_PATH one.
        asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)
    except OSError:
        return socket.AF_UNSPEC, 0
    try:
        family = asked.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
        return family, asked.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    finally:
        asked.detach()

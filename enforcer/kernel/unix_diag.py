"""Where a path socket is bound: sock_diag(7), by the file's device and inode."""

from __future__ import annotations

import os
import socket
import struct

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_UDIAG_SHOW_VFS = 2
_UNIX_DIAG_VFS = 1
_ANY_COOKIE = 0xFFFF_FFFF

_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBHIIIII")
_MESSAGE = struct.Struct("=BBBBIII")
_ATTRIBUTE = struct.Struct("=HH")
_VFS = struct.Struct("=II")
_MINOR_BITS = 20


def is_shown(inode: int) -> bool:
    """Whether the kernel tells of the unix socket with this inode.

    Not of those in other network namespaces (unix_diag_get_exact compares sock_net), nor of any
    where it has no sock_diag.
    """
    return bool(_told_of(inode))


def bound_file(inode: int) -> tuple[int, int] | None:
    """Device and inode of the file that the unix socket with this inode is bound to.

    None where the socket has no file, or is not shown.
    """
    answer = _told_of(inode)
    at = _HEADER.size + _MESSAGE.size
    while at + _ATTRIBUTE.size <= len(answer):
        length, attribute = _ATTRIBUTE.unpack_from(answer, at)
        if length < _ATTRIBUTE.size:
            return None
        if attribute == _UNIX_DIAG_VFS and length >= _ATTRIBUTE.size + _VFS.size:
            file_inode, device = _VFS.unpack_from(answer, at + _ATTRIBUTE.size)
            major, minor = device >> _MINOR_BITS, device & ((1 << _MINOR_BITS) - 1)
            return os.makedev(major, minor), file_inode
        at += length + -length % 4
    return None


def _told_of(inode: int) -> bytes:
    """The kernel's message about one socket; empty where there is none."""
    request = _REQUEST.pack(
        socket.AF_UNIX, 0, 0, 0xFFFF_FFFF, inode, _UDIAG_SHOW_VFS, _ANY_COOKIE, _ANY_COOKIE
    )
    size = _HEADER.size + len(request)
    header = _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    try:
        with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as link:
            link.send(header + request)
            answer = link.recv(8192)
    except OSError:
        return b""
    if len(answer) < _HEADER.size or _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return b""
    return answer

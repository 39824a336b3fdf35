"""Raw calls that take names, each answering a result or -errno; names are relative to descriptors.

Every function has the kernel's own argument order (see the man page of that name, section 2).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from errno import EIO
from typing import NamedTuple

from enforcer.kernel.raw import ADDRESS, BYTES, INT, SIZE, UNSIGNED, raw_call
from enforcer.syscalls.arguments import AT_FDCWD as AT_FDCWD

AT_SYMLINK_NOFOLLOW = 0x100
AT_HANDLE_MNT_ID_UNIQUE = 0x001
AT_REMOVEDIR = 0x200
AT_EACCESS = 0x200
AT_SYMLINK_FOLLOW = 0x400
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000

mkdirat = raw_call("mkdirat", arguments=(INT, BYTES, UNSIGNED))
mknodat = raw_call("mknodat", arguments=(INT, BYTES, UNSIGNED, UNSIGNED))
unlinkat = raw_call("unlinkat", arguments=(INT, BYTES, INT))
renameat2 = raw_call("renameat2", arguments=(INT, BYTES, INT, BYTES, UNSIGNED))
linkat = raw_call("linkat", arguments=(INT, BYTES, INT, BYTES, INT))
symlinkat = raw_call("symlinkat", arguments=(BYTES, INT, BYTES))
fchmodat = raw_call("fchmodat", arguments=(INT, BYTES, UNSIGNED))
fchmodat2 = raw_call("fchmodat2", arguments=(INT, BYTES, UNSIGNED, UNSIGNED))
fchownat = raw_call("fchownat", arguments=(INT, BYTES, UNSIGNED, UNSIGNED, INT))
utimensat = raw_call("utimensat_time64", "utimensat", arguments=(INT, BYTES, BYTES, INT))
faccessat = raw_call("faccessat", arguments=(INT, BYTES, INT))
faccessat2 = raw_call("faccessat2", arguments=(INT, BYTES, INT, INT))
inotify_add_watch = raw_call("inotify_add_watch", arguments=(INT, BYTES, UNSIGNED))
_file_getattr = raw_call("file_getattr", arguments=(INT, BYTES, ADDRESS, SIZE, UNSIGNED))
file_setattr = raw_call("file_setattr", arguments=(INT, BYTES, BYTES, SIZE, UNSIGNED))
_name_to_handle_at = raw_call("name_to_handle_at", arguments=(INT, BYTES, ADDRESS, ADDRESS, INT))
umask = raw_call("umask", arguments=(INT,))
unshare = raw_call("unshare", arguments=(UNSIGNED,))
_libc = ctypes.CDLL(None, use_errno=True)


def readlinkat(dirfd: int, path: bytes) -> bytes | int:
    """The link's whole text (a page holds the longest), or -errno."""
    try:
        return os.readlink(path, dir_fd=dirfd)
    except OSError as error:
        return -(error.errno or EIO)


def file_getattr(dirfd: int, path: bytes, size: int) -> bytes | int:
    """A struct file_attr of `size` bytes, or -errno."""
    buffer = ctypes.create_string_buffer(size)
    result = _file_getattr(dirfd, path, ctypes.addressof(buffer), size, 0)
    return buffer.raw if result >= 0 else result


_HANDLE = struct.Struct("=Ii")  # struct file_handle up to f_handle: handle_bytes, handle_type
_MAX_HANDLE_SZ = 128


class FileHandle(NamedTuple):
    """What name_to_handle_at wrote: after -EOVERFLOW `length` is the room that it needs."""

    result: int
    length: int = 0
    kind: int = 0
    text: bytes = b""
    mount: int = 0


def name_to_handle_at(dirfd: int, path: bytes, room: int, flags: int) -> FileHandle:
    """The handle of an object, for which there are `room` bytes; `mount` is as wide as asked."""
    handle = ctypes.create_string_buffer(_HANDLE.size + _MAX_HANDLE_SZ)
    _HANDLE.pack_into(handle, 0, room, 0)
    mount = ctypes.c_uint64()
    addresses = ctypes.addressof(handle), ctypes.addressof(mount)
    result = _name_to_handle_at(dirfd, path, *addresses, flags)
    length, kind = _HANDLE.unpack_from(handle)
    text = handle.raw[_HANDLE.size :][:length] if result == 0 else b""
    wide = bytes(mount)
    narrow = wide[: 8 if flags & AT_HANDLE_MNT_ID_UNIQUE else 4]
    return FileHandle(result, length, kind, text, int.from_bytes(narrow, sys.byteorder))


_truncate = ctypes.CFUNCTYPE(INT, BYTES, ctypes.c_int64, use_errno=True)(("truncate64", _libc))


def truncate(path: bytes, length: int) -> int:
    """0 or -errno; `length` is signed, 64 bits on every ABI."""
    result: int = _truncate(path, length)
    return result if result >= 0 else -ctypes.get_errno()

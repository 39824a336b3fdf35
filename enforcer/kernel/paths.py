"""Raw calls that take names, each answering a result or -errno; names are relative to descriptors.

Every function has the kernel's own argument order (see the man page of that name, section 2).
"""

from __future__ import annotations

import ctypes
import os
from errno import EIO

from enforcer.kernel.raw import ADDRESS, BYTES, INT, SIZE, UNSIGNED, raw_call
from enforcer.syscalls.arguments import AT_FDCWD as AT_FDCWD

AT_SYMLINK_NOFOLLOW = 0x100
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


_truncate = ctypes.CFUNCTYPE(INT, BYTES, ctypes.c_int64, use_errno=True)(("truncate64", _libc))


def truncate(path: bytes, length: int) -> int:
    """0 or -errno; `length` is signed, 64 bits on every ABI."""
    result: int = _truncate(path, length)
    return result if result >= 0 else -ctypes.get_errno()

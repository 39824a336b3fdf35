"""openat2(2), raw: the one open that can refuse symbolic links on the whole way."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from errno import ENOSYS

from enforcer.kernel.raw import BYTES, INT, LONG, NATIVE_ABI, SIZE
from enforcer.syscalls import number
from enforcer.syscalls.arguments import AT_FDCWD as AT_FDCWD

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20


def _bind() -> Callable[[int, bytes, int, int, int], int]:
    nr = number(NATIVE_ABI, "openat2")
    if nr is None:
        return lambda dirfd, path, flags, mode, resolve: -ENOSYS
    libc = ctypes.CDLL(None, use_errno=True)
    prototype = ctypes.CFUNCTYPE(LONG, LONG, INT, BYTES, BYTES, SIZE, use_errno=True)
    function = prototype(("syscall", libc))
    pack = struct.Struct("=QQQ").pack
    get_errno = ctypes.get_errno

    def openat2(dirfd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
        """A descriptor or -errno. `path` has no NUL inside; flags and mode must be clean."""
        fd: int = function(nr, dirfd, path, pack(flags, mode, resolve), 24)
        return fd if fd >= 0 else -get_errno()

    return openat2


openat2 = _bind()

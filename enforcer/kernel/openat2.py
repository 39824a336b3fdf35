"""openat2(2), raw: the one open that can refuse symbolic links on the whole way."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from errno import ENOSYS

from enforcer.kernel.raw import LONG, NATIVE_ABI, SIZE, fixed, untyped
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
    function = untyped("syscall")
    call_number, how_size = fixed(LONG, nr), fixed(SIZE, 24)
    pack = struct.Struct("=QQQ").pack
    get_errno = ctypes.get_errno

    def openat2(dirfd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
        """A descriptor or -errno. `path` has no NUL inside; flags and mode must be clean."""
        fd: int = function(call_number, dirfd, path, pack(flags, mode, resolve), how_size)
        return fd if fd >= 0 else -get_errno()

    return openat2


openat2 = _bind()

"""Raw system calls of the native ABI that answer as the kernel does: a result, or -errno.

No exception is raised for a failing call: who acts for another task hands the errno on.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from errno import ENOSYS

from enforcer.arch import native
from enforcer.syscalls import number

INT = ctypes.c_int
UNSIGNED = ctypes.c_uint
LONG = ctypes.c_long
SIZE = ctypes.c_size_t
BYTES = ctypes.c_char_p
ADDRESS = ctypes.c_void_p

NATIVE_ABI = native().abis[0].name

_libc = ctypes.CDLL(None, use_errno=True)

RawCall = Callable[..., int]


def raw_call(*names: str, arguments: tuple[type, ...]) -> RawCall:
    """A callable for the first of `names` that the native ABI has; it gives a result or -errno.

    A call that no name of exists here answers -ENOSYS.
    """
    known = [nr for nr in (number(NATIVE_ABI, name) for name in names) if nr is not None]
    if not known:
        return lambda *_: -ENOSYS
    nr = known[0]
    prototype = ctypes.CFUNCTYPE(LONG, LONG, *arguments, use_errno=True)
    function = prototype(("syscall", _libc))
    get_errno = ctypes.get_errno

    def call(*values: object) -> int:
        result: int = function(nr, *values)
        return result if result >= 0 else -get_errno()

    return call

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
BUFFER = ctypes.Array
"""Memory of ours, given as what `create_string_buffer` makes."""

NATIVE_ABI = native().abis[0].name

_libc = ctypes.CDLL(None, use_errno=True)

_CHEAP = frozenset({INT, UNSIGNED, BYTES, BUFFER})
"""What needs no conversion by type (see `untyped`)."""

RawCall = Callable[..., int]


def fixed(kind: type[INT | LONG | SIZE | ADDRESS], value: int) -> object:
    """An argument for `untyped` functions that is converted here, and not at every call."""
    return kind.from_param(value)


def untyped(name: str) -> RawCall:
    """A function of the C library that gives a long, without types for its arguments.

    To convert arguments by types takes ctypes longer than most calls take the kernel. Without them
    an int is a C int, bytes are their address, and everything else must be a ctypes object: all
    that may not fit an int is to be made one by who calls.
    """
    function: RawCall = ctypes.CFUNCTYPE(LONG, use_errno=True)((name, _libc))
    return function


def raw_call(*names: str, arguments: tuple[type, ...]) -> RawCall:
    """A callable for the first of `names` that the native ABI has; it gives a result or -errno.

    A call that no name of exists here answers -ENOSYS.
    """
    known = [nr for nr in (number(NATIVE_ABI, name) for name in names) if nr is not None]
    if not known:
        return lambda *_: -ENOSYS
    nr = known[0]
    get_errno = ctypes.get_errno
    if _CHEAP.issuperset(arguments):
        quick_function, call_number = untyped("syscall"), fixed(LONG, nr)

        def quick_call(*values: object) -> int:
            result = quick_function(call_number, *values)
            return result if result >= 0 else -get_errno()

        # To gather and spread arguments takes a fifth of the time of such a call.
        def call_of_three(a: object, b: object, c: object) -> int:
            result = quick_function(call_number, a, b, c)
            return result if result >= 0 else -get_errno()

        def call_of_four(a: object, b: object, c: object, d: object) -> int:
            result = quick_function(call_number, a, b, c, d)
            return result if result >= 0 else -get_errno()

        def call_of_five(a: object, b: object, c: object, d: object, e: object) -> int:
            result = quick_function(call_number, a, b, c, d, e)
            return result if result >= 0 else -get_errno()

        by_count: dict[int, RawCall] = {3: call_of_three, 4: call_of_four, 5: call_of_five}
        return by_count.get(len(arguments), quick_call)
    prototype = ctypes.CFUNCTYPE(LONG, LONG, *arguments, use_errno=True)
    function = prototype(("syscall", _libc))

    def call(*values: object) -> int:
        result: int = function(nr, *values)
        return result if result >= 0 else -get_errno()

    return call

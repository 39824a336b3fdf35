"""execve(2) with its arguments at addresses that nobody else can know.

A filter that denies execve must still let its launcher start the command. It can tell the launcher
by the three pointers: they lie at random places of a memory that ends with the very call.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import struct
from collections.abc import Sequence
from errno import EINVAL, ENOENT
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, PROT_READ, PROT_WRITE

from enforcer.kernel.raw import ADDRESS, BYTES, INT, raw_call

_POINTER_BYTES = struct.calcsize("P")
_ALIGNMENT = 16
_LOWEST = 1 << 16 if _POINTER_BYTES == 4 else 1 << 32
_HIGHEST = 0xB000_0000 if _POINTER_BYTES == 4 else 1 << 37
"""Between these the address space of every supported kernel has room (riscv64 has the least)."""

_MAP_FAILED = ctypes.c_void_p(-1).value

_execve = raw_call("execve", arguments=(ADDRESS, ADDRESS, ADDRESS))
_execveat = raw_call("execveat", arguments=(INT, BYTES, ADDRESS, ADDRESS, INT))
_NO_WORDS = ctypes.create_string_buffer(_POINTER_BYTES)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)
_libc.mmap.restype = ctypes.c_void_p


def find_command(name: str) -> str:
    """The path that execvp would execute: `name` itself with a slash in it, else found in PATH.

    Raises FileNotFoundError, never taking a file of the working directory for a command.
    """
    found = name if "/" in name else shutil.which(name)
    if found is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), name)
    return found


def wrong_flags(flags: int) -> bool:
    """Whether execveat(2) knows no such flags; asked beneath a directory that nobody has."""
    words = ctypes.addressof(_NO_WORDS)
    return flags != 0 and _execveat(-1, b".", words, words, flags) == -EINVAL


class PreparedExecve:
    """An execve whose pointers are drawn at random, ready to be made.

    `registers` are its three arguments; together they hold at least 80 random bits. Raises OSError
    when there is no memory.
    """

    def __init__(self, path: str, arguments: Sequence[str], environment: Sequence[str]) -> None:
        self._texts: list[ctypes.Array[ctypes.c_char]] = []
        self.registers = (
            _placed(os.fsencode(path) + b"\0"),
            _placed(self._pointers(arguments)),
            _placed(self._pointers(environment)),
        )

    def execute(self) -> OSError:
        """Make the call. Returns only when it failed, with the error."""
        result = _execve(*self.registers)
        return OSError(-result, os.strerror(-result))

    def _pointers(self, texts: Sequence[str]) -> bytes:
        buffers = [ctypes.create_string_buffer(os.fsencode(text)) for text in texts]
        self._texts += buffers
        return struct.pack(f"{len(buffers) + 1}P", *map(ctypes.addressof, buffers), 0)


def _placed(content: bytes) -> int:
    """The random address at which a copy of `content` lies."""
    hint = random.SystemRandom().randrange(_LOWEST, _HIGHEST, _ALIGNMENT)
    within = hint % PAGESIZE
    size = within + len(content)
    start = _libc.mmap(
        hint - within, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
    )
    if start == _MAP_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    address: int = start + within
    ctypes.memmove(address, content, len(content))
    return address

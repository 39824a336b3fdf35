"""i386 calls made by a 64-bit task, with all 64 bits of the registers under control."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence

_CODE = bytes.fromhex(
    "53"  # push rbx
    "55"  # push rbp
    "4989fa"  # mov r10, rdi
    "498b02"  # mov rax, [r10]
    "498b5a08"  # mov rbx, [r10 + 8]
    "498b4a10"  # mov rcx, [r10 + 16]
    "498b5218"  # mov rdx, [r10 + 24]
    "498b7220"  # mov rsi, [r10 + 32]
    "498b7a28"  # mov rdi, [r10 + 40]
    "498b6a30"  # mov rbp, [r10 + 48]
    "cd80"  # int 0x80
    "5d"  # pop rbp
    "5b"  # pop rbx
    "c3"  # ret
)


class Int80:
    """Makes i386 calls; an x86-64 process only."""

    def __init__(self) -> None:
        protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=protection)
        self._memory.write(_CODE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(start)

    def errno(self, number: int, registers: Sequence[int]) -> int:
        """The errno of one call, 0 on success."""
        block = (ctypes.c_uint64 * 7)(number, *registers)
        result: int = self._function(ctypes.addressof(block))
        return -result if -4096 < result < 0 else 0

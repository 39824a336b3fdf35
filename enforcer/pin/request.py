"""One call to be performed: its registers, its names pinned, and the task's memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

from enforcer.arch import ABIS
from enforcer.pin.pinned import Pinned
from enforcer.pin.view import View

_LOW_HALF = 0xFFFF_FFFF


class Request:
    """What an act needs.

    `pins` are the path arguments in argument order. `args` are the registers as the task set them;
    `given` holds memory that the caller has read already, by register.
    """

    __slots__ = ("abi", "args", "call", "given", "pins", "view")

    def __init__(
        self,
        view: View,
        abi: str,
        call: str,
        args: Sequence[int],
        given: Mapping[int, bytes],
    ) -> None:
        self.view = view
        self.abi = ABIS[abi]
        self.call = call
        self.args = args
        self.given = dict(given)
        self.pins: list[Pinned] = []

    def close(self) -> None:
        """Let go of what was pinned."""
        for pinned in self.pins:
            pinned.close()

    def pointer(self, index: int) -> int:
        """Register `index` as an address of the task."""
        value = self.args[index]
        return value if self.abi.bits == 64 else value & _LOW_HALF

    def int32(self, index: int) -> int:
        """Register `index` as a C int."""
        value = self.args[index] & _LOW_HALF
        return value - (1 << 32) if value >> 31 else value

    def uint32(self, index: int) -> int:
        """Register `index` as a C unsigned int."""
        return self.args[index] & _LOW_HALF

    def word(self, index: int) -> int:
        """Register `index` as a C long of the ABI."""
        bits = self.abi.bits
        value = self.args[index] & ((1 << bits) - 1)
        return value - (1 << bits) if value >> (bits - 1) else value

    def size(self, index: int) -> int:
        """Register `index` as a size_t of the ABI."""
        return self.args[index] & ((1 << self.abi.bits) - 1)

    def string(self, index: int) -> bytes:
        """The string that register `index` points to, read once. Raises UnreadableMemory."""
        known = self.given.get(index)
        if known is None:
            known = self.given[index] = self.view.read_string(self.pointer(index))
        return known

    def read(self, index: int, size: int) -> bytes:
        """`size` bytes that register `index` points to, read once. Raises UnreadableMemory."""
        known = self.given.get(index)
        if known is None:
            known = self.given[index] = self.view.read_bytes(self.pointer(index), size)
        return known

    def write(self, index: int, data: bytes) -> None:
        """Put `data` where register `index` points. Raises UnreadableMemory, TargetGone."""
        self.view.write_bytes(self.pointer(index), data)

    def pack(self, layout: str, *values: int) -> bytes:
        """A struct in the byte order of the ABI; raises struct.error where a value does not fit."""
        return struct.pack((">" if self.abi.big_endian else "<") + layout, *values)

    def unpack(self, layout: str, data: bytes) -> tuple[int, ...]:
        """The fields of a struct in the byte order of the ABI."""
        return struct.unpack((">" if self.abi.big_endian else "<") + layout, data)

    @property
    def long(self) -> str:
        """The struct letter of a C long that the kernel reads or writes in memory."""
        return "q" if self.abi.pointer_size == 8 else "i"


Act = Callable[[Request], int]
"""What does the call, or (as a check) what the kernel says before it looks at any name: 0 to go on,
-errno, or NOTHING_TO_DO."""

NOTHING_TO_DO = 1
"""Said by a check: the kernel answers 0 without a look at the name."""

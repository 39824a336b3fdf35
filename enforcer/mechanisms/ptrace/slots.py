"""Slots: the only memory from which a held call takes its arguments.

One sealed file serves the whole sandbox; every target maps it read-only. A slot belongs to one
call from its judgement to its end, so tasks that share an address space never share a slot.
"""

from __future__ import annotations

from enforcer.kernel.memory_file import SealedFile

SLOT_SIZE = 8192
NAME_SIZE = 4096
"""A slot: a name of at most PATH_MAX bytes with its NUL, then structs."""


class Arena:
    """The sealed file and its free slots, named by their offset in it."""

    def __init__(self, slots: int = 256, extra: int = 0) -> None:
        """`extra` bytes behind the slots are the caller's own (see `extra_offset`)."""
        self.extra_offset = slots * SLOT_SIZE
        self.file = SealedFile("call-arguments", self.extra_offset + extra)
        self.memory = self.file.memory
        self.size = self.file.size
        self.free = [index * SLOT_SIZE for index in reversed(range(slots))]

    def take(self) -> int | None:
        """A free slot's offset, None when all are held by calls in flight."""
        return self.free.pop() if self.free else None

    def give(self, offset: int) -> None:
        self.free.append(offset)

    def write_name(self, offset: int, name: bytes) -> None:
        """`name` (under PATH_MAX bytes) and its NUL at the slot's start."""
        end = offset + len(name)
        memory = self.memory
        memory[offset:end] = name
        memory[end] = 0

    def write(self, offset: int, data: bytes | bytearray) -> None:
        self.memory[offset : offset + len(data)] = data

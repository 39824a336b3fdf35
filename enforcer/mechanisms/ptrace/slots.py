"""Slots: the only memory from which a held call takes its arguments.

One sealed file serves the whole sandbox; every target maps it read-only. A slot belongs to one
task's call from its judgement to its end, so tasks that share an address space never share a slot.
The file begins with a page of code, the way back from a rewritten call (see returns.py).
"""

from __future__ import annotations

import errno

from enforcer.kernel.memory_file import SealedFile

CODE_SIZE = 4096
NAME_SIZE = 4096
SLOT_SIZE = 2 * NAME_SIZE
"""A slot: a name of at most PATH_MAX bytes with its NUL, then structs."""
AREA_SIZE = 36 << 10
"""An area: a whole seccomp program with its header."""
SMALL_SLOT_SIZE = 1024
"""What most names need; a task keeps one from its first quick open to its end."""


_AREAS = 4
SPAN = 0x0030_0000
"""More than a whole arena: so much is kept free from an ABI's `spare_address` on."""


class Arena:
    """The sealed file and its free slots, named by their offset in it."""

    def __init__(self, code: bytes, slots: int = 128, small_slots: int = 1024) -> None:
        large = CODE_SIZE + small_slots * SMALL_SLOT_SIZE
        areas = large + slots * SLOT_SIZE
        self.file = _sealed_file(areas + _AREAS * AREA_SIZE)
        self.memory = self.file.memory
        self.size = self.file.size
        self.write(0, code)
        self.free_small = list(range(CODE_SIZE, large, SMALL_SLOT_SIZE))[::-1]
        self.free = list(range(large, areas, SLOT_SIZE))[::-1]
        self.free_areas = list(range(areas, self.size, AREA_SIZE))

    def take(self) -> int | None:
        """A free slot's offset, None when all are held by calls in flight."""
        return self.free.pop() if self.free else None

    def give(self, offset: int) -> None:
        self.free.append(offset)

    def take_small(self) -> int | None:
        """A free small slot's offset, None when there is none."""
        return self.free_small.pop() if self.free_small else None

    def give_small(self, offset: int) -> None:
        self.free_small.append(offset)

    def take_area(self) -> int | None:
        """A free area's offset, None when there is none."""
        return self.free_areas.pop() if self.free_areas else None

    def give_area(self, offset: int) -> None:
        self.free_areas.append(offset)

    def write_name(self, offset: int, name: bytes) -> None:
        """`name` (under PATH_MAX bytes) and its NUL at the slot's start."""
        end = offset + len(name)
        memory = self.memory
        memory[offset:end] = name
        memory[end] = 0

    def name_at(self, offset: int) -> bytes:
        """The name at a slot's start."""
        text = bytes(self.memory[offset : offset + NAME_SIZE])
        return text[: text.index(0)]

    def write(self, offset: int, data: bytes | bytearray) -> None:
        self.memory[offset : offset + len(data)] = data


def _sealed_file(size: int) -> SealedFile:
    """Raises OSError: a limit on file sizes counts for memory files too (inode_newsize_ok)."""
    try:
        return SealedFile("call-arguments", size)
    except OSError as error:
        if error.errno == errno.EFBIG:
            reason = f"the limit on file sizes (ulimit -f) is below {size} bytes"
            raise OSError(errno.EFBIG, reason) from error
        raise

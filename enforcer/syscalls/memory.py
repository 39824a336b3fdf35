"""The memory of whoever makes a call, as those see it who decode its arguments."""

from __future__ import annotations

import os
from errno import EFAULT
from typing import Protocol

Arguments = tuple[int, int, int, int, int, int]
PATH_MAX = 4096


class Refused(Exception):
    """The kernel refuses these arguments with `number`, whatever any rule says."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(os.strerror(number))


class UnreadableMemory(Exception):
    """The target's memory could not be read or written; the call is to be denied with `errno`.

    EFAULT also where the kernel itself could have read (memfd_secret, a read that stalled).
    """

    def __init__(self, address: int, errno: int = EFAULT, reason: str = "") -> None:
        self.address = address
        self.errno = errno
        super().__init__(f"{address:#x}: {reason or 'not readable'}")


class Memory(Protocol):
    """The memory of whoever makes a call; each raises UnreadableMemory."""

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes:
        """The string at `address` without its NUL, which is within `limit` bytes, read once."""
        ...

    def read_bytes(self, address: int, size: int) -> bytes:
        """Exactly `size` bytes, read once."""
        ...


class ReadOnce:
    """A memory of which every range is read once, however often it is asked for."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._strings: dict[int, bytes] = {}
        self._ranges: dict[tuple[int, int], bytes] = {}

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes:
        """See Memory."""
        found = self._strings.get(address)
        if found is None:
            found = self._strings[address] = self._memory.read_string(address, limit)
        return found

    def read_bytes(self, address: int, size: int) -> bytes:
        """See Memory."""
        found = self._ranges.get((address, size))
        if found is None:
            found = self._ranges[address, size] = self._memory.read_bytes(address, size)
        return found

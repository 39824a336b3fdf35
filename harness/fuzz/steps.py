"""Programs of calls made by several tasks, and the memory in which the actor finds them.

A step is one call of one task. Its arguments are numbers, results of earlier steps, and what lies
in memory; `actor/tasks.c` has the other end of the layout.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from enum import Enum

from enforcer.syscalls import number

BASE = 0x1000_0000_0000
"""Far above the heap, which the kernel begins anywhere within HEAP_BYTES of a program's end."""

HEAP_BYTES = 1 << 30
"""arch_randomize_brk() of x86-64 since Linux 6.9."""

SHARED = 900
CHANNEL = 901
TASKS = 15
"""Tasks that a program may have; the actor's last stack is that of the race."""

UNTOUCHED = 1 << 62
"""The result of a call that was not made, or did not return."""

_HEADER = struct.Struct("=IIII")
_MAKERS = struct.Struct("=16I")
_FIRST = _HEADER.size + _MAKERS.size
_CALL = struct.Struct("=IIII6Qq")
_SLOTS, _SLOT_BYTES = 8, 512
_ABI = "x86_64"
_AF_UNIX = b"\1\0"


class Operation(Enum):
    """What a step does; the numbers are the actor's."""

    CALL = 0
    CLONE = 1
    EXEC = 2
    EXIT = 3
    STORE = 4
    LOAD = 5
    RACE = 6


@dataclass(frozen=True)
class Result:
    """The result of an earlier step."""

    step: int


@dataclass(frozen=True)
class Text:
    """The address of a text, with its final zero."""

    text: str


@dataclass(frozen=True)
class Space:
    """The address of zeroed memory of this step's own, which the kernel may fill."""

    size: int


@dataclass(frozen=True)
class Slot:
    """An address in memory that steps share."""

    slot: int
    offset: int = 0


@dataclass(frozen=True)
class Struct:
    """The address of 64-bit words, some of them addresses themselves, and of bytes after them."""

    words: tuple[int | Text | Space | Slot, ...]
    tail: bytes = b""


Argument = int | Result | Text | Space | Slot | Struct


@dataclass(frozen=True)
class FileName:
    """Which argument is a file's name, and what it is relative to (-1: the task's directory)."""

    argument: int
    directory: int = -1
    follows: bool = True


@dataclass(frozen=True)
class Step:
    """One call. `call` is the kernel's name of it, also where the operation makes it by itself."""

    task: int
    call: str
    args: tuple[Argument, ...]
    operation: Operation = Operation.CALL
    names: tuple[FileName, ...] = ()


@dataclass(frozen=True)
class TreeCase:
    """Steps of a tree of tasks under a policy that hides some objects from them."""

    steps: tuple[Step, ...]


def moved(step: Step, old: str, new: str) -> Step:
    """The step with the names that begin with `old` beginning with `new`; addresses too."""
    args = list(step.args)
    for place, value in enumerate(args):
        if isinstance(value, Text):
            args[place] = Text(_moved(value.text, old, new))
        elif isinstance(value, Struct) and value.tail.startswith(_AF_UNIX):
            path = value.tail.removeprefix(_AF_UNIX)
            tail = _AF_UNIX + os.fsencode(_moved(os.fsdecode(path), old, new))
            args[place] = Struct(value.words, tail)
            args[place + 1] = len(tail)
    return Step(step.task, step.call, tuple(args), step.operation, step.names)


def _moved(text: str, old: str, new: str) -> str:
    for prefix in (old, f"/proc/self/root{old}"):
        if (text + "/").startswith(prefix + "/"):
            return prefix.removesuffix(old) + new + text.removeprefix(prefix)
    return text


class Image:
    """A memory file with room for `steps` steps and `data` bytes of their memory.

    `told`: the tasks are told each step by a socket of their own; otherwise they take turns.
    """

    def __init__(self, steps: int, data: int, *, told: bool) -> None:
        self._slots = _FIRST + steps * _CALL.size
        self._data = self._slots + _SLOTS * _SLOT_BYTES
        self.size = -(-(self._data + data) // mmap.PAGESIZE) * mmap.PAGESIZE
        self._room = steps
        self._end = self._data
        self._texts: dict[str, int] = {}
        self._spaces: list[list[tuple[int, int]]] = []
        self.fd = os.memfd_create("harness-fuzz", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, self.size)
        self.view = mmap.mmap(self.fd, self.size)
        self._told = told
        _MAKERS.pack_into(self.view, _HEADER.size, *range(16))
        self._put_header()

    def close(self) -> None:
        self.view.close()
        os.close(self.fd)

    def _put_header(self) -> None:
        _HEADER.pack_into(self.view, 0, self.turn, len(self._spaces), int(self._told), 0)

    @property
    def turn(self) -> int:
        """The place of the step whose turn it is, in a batch."""
        return int(struct.unpack_from("=I", self.view, 0)[0])

    def put(self, step: Step) -> int:
        """Add a step; its place. Raises ValueError when there is no room or no such call."""
        place = len(self._spaces)
        if place >= self._room:
            raise ValueError("more steps than the image has room for")
        self._spaces.append([])
        references, args = 0, []
        for argument, value in enumerate(step.args):
            if isinstance(value, Result):
                references |= 1 << argument
            args.append(self._word(value))
        nr = number(_ABI, step.call) if step.operation is Operation.CALL else 0
        if nr is None:
            raise ValueError(f"{_ABI} has no call {step.call!r}")
        args += [0] * (6 - len(args))
        at = _FIRST + place * _CALL.size
        _CALL.pack_into(
            self.view, at, step.operation.value, step.task, nr, references, *args, UNTOUCHED
        )
        self._put_header()
        return place

    def _word(self, value: Argument) -> int:
        """The register's value; for a result the place of its step."""
        if isinstance(value, int):
            return value & (1 << 64) - 1
        if isinstance(value, Result):
            return value.step
        if isinstance(value, Text):
            if value.text not in self._texts:
                self._texts[value.text] = self._take(os.fsencode(value.text) + b"\0")
            return self._texts[value.text]
        if isinstance(value, Slot):
            return BASE + self._slots + value.slot * _SLOT_BYTES + value.offset
        if isinstance(value, Space):
            address = self._take(bytes(value.size))
            self._spaces[-1].append((address, value.size))
            return address
        words = [self._word(each) for each in value.words]
        return self._take(struct.pack(f"={len(words)}Q", *words) + value.tail)

    def _take(self, content: bytes) -> int:
        start = -(-self._end // 16) * 16
        if start + len(content) > self.size:
            raise ValueError("more memory than the image has room for")
        self.view[start : start + len(content)] = content
        self._end = start + len(content)
        return BASE + start

    def registers(self, place: int) -> tuple[int, int, int, int, int, int]:
        """The arguments of a step as the actor will make the call, results filled in."""
        at = _FIRST + place * _CALL.size
        _, _, _, references, *args, _ = _CALL.unpack_from(self.view, at)
        a, b, c, d, e, f = (
            self.result(value) & (1 << 64) - 1 if references >> n & 1 else value
            for n, value in enumerate(args)
        )
        return a, b, c, d, e, f

    def result(self, place: int) -> int:
        """What the call gave; UNTOUCHED if it was not made."""
        at = _FIRST + place * _CALL.size
        return int(_CALL.unpack_from(self.view, at)[-1])

    def set_result(self, place: int, result: int) -> None:
        """Say what a call gave that nobody makes."""
        at = _FIRST + (place + 1) * _CALL.size - 8
        struct.pack_into("=q", self.view, at, result)

    def filled(self, place: int) -> bytes:
        """What now lies in the spaces of a step."""
        return b"".join(
            self.view[address - BASE : address - BASE + size]
            for address, size in self._spaces[place]
        )

    def memory(self) -> bytes:
        """All slots and memory of the steps so far."""
        return self.view[self._slots : self._end]

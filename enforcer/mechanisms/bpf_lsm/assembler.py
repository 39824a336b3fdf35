"""Instructions of extended BPF, as far as our programs need them (RFC 9669), put in one by one."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, field
from enum import IntEnum

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP = range(11)
BYTES = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
_LDX, _ST, _STX, _JMP, _ALU64, _ALU32 = 0x61, 0x62, 0x63, 0x05, 0x07, 0x04
_FROM_REGISTER = 0x08
_LOAD_WIDE = 0x18
_CALL, _EXIT = 0x85, 0x95
_MAP_DESCRIPTOR = 1


class Helper(IntEnum):
    """BPF_FUNC_*."""

    MAP_LOOKUP = 1
    MAP_UPDATE = 2
    GET_CURRENT_UID_GID = 15
    MAP_PUSH = 87
    PROBE_READ_KERNEL = 113
    PROBE_READ_KERNEL_STR = 115
    GET_CURRENT_ANCESTOR_CGROUP_ID = 123


class If(IntEnum):
    """Comparisons, without sign."""

    EQUAL = 0x10
    GREATER = 0x20
    ANY_BIT = 0x40
    NOT_EQUAL = 0x50


class Do(IntEnum):
    """Arithmetic."""

    ADD = 0x00
    SUBTRACT = 0x10
    OR = 0x40
    AND = 0x50
    SHIFT_LEFT = 0x60
    XOR = 0xA0
    MOVE = 0xB0


@dataclass
class Assembly:
    """A program that grows; labels stand for places in it."""

    _code: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    _labels: dict[str, int] = field(default_factory=dict)
    _jumps: dict[int, str] = field(default_factory=dict)
    _is_dead: bool = False

    def put(self, code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> None:
        """One instruction as it is; the verifier wants none that nothing leads to."""
        if not self._is_dead:
            self._code.append((code, to, source, offset, value))

    @property
    def size(self) -> int:
        """Instructions so far."""
        return len(self._code)

    def do(self, what: Do, to: int, value: int) -> None:
        """`to` = `to` what value."""
        self.put(_ALU64 | what, to, value=value)

    def combine(self, what: Do, to: int, source: int) -> None:
        """`to` = `to` what the register `source`."""
        self.put(_ALU64 | _FROM_REGISTER | what, to, source)

    def narrow(self, register: int) -> None:
        """Its lower half alone."""
        self.put(_ALU32 | _FROM_REGISTER | Do.MOVE, register, register)

    def move(self, to: int, source: int) -> None:
        self.combine(Do.MOVE, to, source)

    def set(self, to: int, value: int) -> None:
        self.do(Do.MOVE, to, value)

    def address(self, to: int, offset: int) -> None:
        """Of a place in the frame."""
        self.move(to, FP)
        self.do(Do.ADD, to, offset)

    def load(self, to: int, source: int, offset: int, size: int = 8) -> None:
        self.put(_LDX | BYTES[size], to, source, offset)

    def store(self, to: int, offset: int, source: int, size: int = 8) -> None:
        self.put(_STX | BYTES[size], to, source, offset)

    def store_value(self, to: int, offset: int, value: int, size: int = 8) -> None:
        self.put(_ST | BYTES[size], to, offset=offset, value=value)

    def call(self, helper: Helper) -> None:
        self.put(_CALL, value=helper)

    def map(self, to: int, descriptor: int) -> None:
        """The map behind a descriptor of the process that loads the program."""
        self.put(_LOAD_WIDE, to, _MAP_DESCRIPTOR, value=descriptor)
        self.put(0)

    def jump(self, label: str) -> None:
        self._to(label)
        self.put(_JMP)
        self._is_dead = True

    def jump_if(self, what: If, register: int, value: int, label: str) -> None:
        self._to(label)
        self.put(_JMP | what, register, value=value)

    def jump_if_registers(self, what: If, register: int, other: int, label: str) -> None:
        self._to(label)
        self.put(_JMP | _FROM_REGISTER | what, register, other)

    def label(self, name: str) -> None:
        assert name not in self._labels
        self._labels[name] = len(self._code)
        self._is_dead = False

    def exit(self) -> None:
        self.put(_EXIT)
        self._is_dead = True

    def _to(self, label: str) -> None:
        if not self._is_dead:
            self._jumps[len(self._code)] = label

    def assembled(self) -> bytes:
        """The program's bytes in this machine's order."""
        found = b""
        for at, (code, to, source, offset, value) in enumerate(self._code):
            if at in self._jumps:
                offset = self._labels[self._jumps[at]] - at - 1
            both = to | source << 4 if sys.byteorder == "little" else to << 4 | source
            found += struct.pack("=BBhi", code, both, offset, value)
        return found

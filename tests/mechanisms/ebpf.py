"""A machine for our programs: the instructions and helpers that they use, over a kernel of toys."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from enforcer.mechanisms.bpf_lsm.assembler import Do, Helper, If

MASK = (1 << 64) - 1
FRAME, CONTEXT, VALUES = 0x10_0000, 0x20_0000, 0x30_0000
FRAME_BYTES = 512
SIZES = {0x10: 1, 0x08: 2, 0x00: 4, 0x18: 8}
KIND: dict[If, Callable[[int, int], bool]] = {
    If.EQUAL: lambda a, b: a == b,
    If.GREATER: lambda a, b: a > b,
    If.ANY_BIT: lambda a, b: bool(a & b),
    If.NOT_EQUAL: lambda a, b: a != b,
}
DONE: dict[Do, Callable[[int, int], int]] = {
    Do.ADD: lambda a, b: a + b,
    Do.SUBTRACT: lambda a, b: a - b,
    Do.OR: lambda a, b: a | b,
    Do.AND: lambda a, b: a & b,
    Do.SHIFT_LEFT: lambda a, b: a << b,
    Do.XOR: lambda a, b: a ^ b,
    Do.MOVE: lambda a, b: b,
}


@dataclass
class Toy:
    """A kernel's memory, maps by descriptor (a queue is a list), and who the current task is."""

    memory: dict[int, bytes] = field(default_factory=dict)
    maps: dict[int, dict[bytes, bytes | bytearray]] = field(default_factory=dict)
    log: list[bytes] = field(default_factory=list)
    group: int = 7
    uid: int = 1000
    steps: int = 0

    def run(self, code: bytes, *arguments: int) -> int:
        """What the program answers, as a signed number."""
        self._own = {
            FRAME: bytearray(FRAME_BYTES),
            CONTEXT: bytearray(struct.pack(f"={len(arguments)}Q", *arguments)),
        }
        registers = [0] * 11
        registers[1], registers[10] = CONTEXT, FRAME + FRAME_BYTES
        at = 0
        while True:
            self.steps += 1
            op, both, offset, value = struct.unpack_from("=BBhi", code, 8 * at)
            to, source = both & 15, both >> 4
            at += 1
            if op == 0x95:
                return registers[0] - (1 << 64 if registers[0] >> 63 else 0)
            if op == 0x18:
                registers[to] = value
                at += 1
            elif op == 0x85:
                registers[0] = self._help(Helper(value), registers) & MASK
                registers[1:6] = [0xDEAD] * 5  # as the verifier has it, they are lost
            elif op & 7 == 1:
                size = SIZES[op & 0x18]
                registers[to] = int.from_bytes(
                    self._read(registers[source] + offset, size), "little"
                )
            elif op & 7 in (2, 3):
                what = registers[source] if op & 7 == 3 else value & MASK
                size = SIZES[op & 0x18]
                data = (what & ((1 << 8 * size) - 1)).to_bytes(size, "little")
                self._write(registers[to] + offset, data)
            else:
                operand = registers[source] if op & 8 else value & MASK
                if op & 7 == 5:
                    if op & 0xF0 == 0 or KIND[If(op & 0xF0)](registers[to], operand):
                        at += offset
                else:
                    registers[to] = DONE[Do(op & 0xF0)](registers[to], operand) & MASK
                    registers[to] &= 0xFFFF_FFFF if op & 7 == 4 else MASK

    def _help(self, helper: Helper, registers: list[int]) -> int:
        one, two, three = registers[1:4]
        match helper:
            case Helper.GET_CURRENT_ANCESTOR_CGROUP_ID:
                return self.group
            case Helper.GET_CURRENT_UID_GID:
                return self.uid | 5 << 32
            case Helper.MAP_LOOKUP:
                values = self.maps[one]
                key = self._key(one, two)
                if key not in values:
                    return 0
                where = VALUES + 0x100 * len(self._own)
                # A map's value is written in its place, where the test gave one that can be.
                value = values[key]
                self._own[where] = value if isinstance(value, bytearray) else bytearray(value)
                return where
            case Helper.MAP_UPDATE:
                self.maps[one][self._key(one, two)] = bytes(self._read(three, 32))
                return 0
            case Helper.MAP_PUSH:
                self.log.append(bytes(self._read(two, 216)))
                return 0
            case Helper.PROBE_READ_KERNEL | Helper.PROBE_READ_KERNEL_STR:
                try:
                    data = self._read(three, two if helper is Helper.PROBE_READ_KERNEL else 1)
                except KeyError:
                    return -14
                if helper is Helper.PROBE_READ_KERNEL_STR:
                    data = self._text(three)[: two - 1] + b"\0"
                self._write(one, bytes(data))
                return len(data) if helper is Helper.PROBE_READ_KERNEL_STR else 0

    def _key(self, descriptor: int, at: int) -> bytes:
        size = {len(key) for key in self.maps[descriptor]} or {8}
        return bytes(self._read(at, size.pop()))

    def _text(self, at: int) -> bytes:
        return next(
            data[at - base :].partition(b"\0")[0]
            for base, data in self.memory.items()
            if base <= at < base + len(data)
        )

    def _read(self, at: int, size: int) -> bytes:
        for memory in (self._own, self.memory):
            for base, data in memory.items():
                if base <= at and at + size <= base + len(data):
                    return bytes(data[at - base : at - base + size])
        raise KeyError(hex(at))

    def _write(self, at: int, data: bytes) -> None:
        for base, own in self._own.items():
            if base <= at and at + len(data) <= base + len(own):
                own[at - base : at - base + len(data)] = data
                return
        raise KeyError(hex(at))

"""Classic BPF instructions as seccomp knows them, and their form in memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

LIMIT = 4096
"""Instructions in one program, BPF_MAXINSNS."""

DATA_SIZE = 64
"""Bytes in struct seccomp_data."""

NR_OFFSET = 0
ARCH_OFFSET = 4
_ARGS_OFFSET = 16

LONGEST_BRANCH = 255

SCRATCH_WORDS = 16


class Code(IntEnum):
    """Every operation that the kernel accepts in a seccomp filter."""

    LD = 0x20
    LD_LEN = 0x80
    LDX_LEN = 0x81
    LD_IMM = 0x00
    LDX_IMM = 0x01
    LD_MEM = 0x60
    LDX_MEM = 0x61
    ST = 0x02
    STX = 0x03
    ADD = 0x04
    ADD_X = 0x0C
    SUB = 0x14
    SUB_X = 0x1C
    MUL = 0x24
    MUL_X = 0x2C
    DIV = 0x34
    DIV_X = 0x3C
    OR = 0x44
    OR_X = 0x4C
    AND = 0x54
    AND_X = 0x5C
    LSH = 0x64
    LSH_X = 0x6C
    RSH = 0x74
    RSH_X = 0x7C
    NEG = 0x84
    XOR = 0xA4
    XOR_X = 0xAC
    JA = 0x05
    JEQ = 0x15
    JEQ_X = 0x1D
    JGT = 0x25
    JGT_X = 0x2D
    JGE = 0x35
    JGE_X = 0x3D
    JSET = 0x45
    JSET_X = 0x4D
    RET = 0x06
    RET_A = 0x16
    TAX = 0x07
    TXA = 0x87


BRANCHES = frozenset(
    {
        Code.JEQ,
        Code.JEQ_X,
        Code.JGT,
        Code.JGT_X,
        Code.JGE,
        Code.JGE_X,
        Code.JSET,
        Code.JSET_X,
    }
)
"""The operations that go `jt` instructions on when they hold, else `jf`."""


@dataclass(frozen=True)
class Instruction:
    """struct sock_filter. `code` is a Code, or any 16-bit number in a program not yet checked."""

    code: int
    k: int = 0
    jt: int = 0
    jf: int = 0


Program = tuple[Instruction, ...]


def argument_offsets(argument: int, *, big_endian: bool) -> tuple[int, int]:
    """Where the low and the high half of a register lie in struct seccomp_data, in bytes."""
    first = _ARGS_OFFSET + 8 * argument
    return (first + 4, first) if big_endian else (first, first + 4)


def _layout(big_endian: bool) -> struct.Struct:
    return struct.Struct(">HBBI" if big_endian else "<HBBI")


def assemble(program: Program, *, big_endian: bool = False) -> bytes:
    """The program as an array of struct sock_filter in the machine's byte order."""
    layout = _layout(big_endian)
    return b"".join(layout.pack(op.code, op.jt, op.jf, op.k) for op in program)


def disassemble(raw: bytes, *, big_endian: bool = False) -> Program:
    """The program in `raw`. Raises ValueError when `raw` is no whole number of instructions."""
    layout = _layout(big_endian)
    if len(raw) % layout.size:
        raise ValueError(f"{len(raw)} bytes are no whole number of {layout.size}-byte instructions")
    return tuple(
        Instruction(_known(code), k, jt, jf) for code, jt, jf, k in layout.iter_unpack(raw)
    )


def _known(code: int) -> int:
    try:
        return Code(code)
    except ValueError:
        return code

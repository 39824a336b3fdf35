"""The reference simulator: one instruction after the other, as the kernel's interpreter does.

Behaviour follows the conversion to eBPF (net/core/filter.c): division by a zero X ends the filter
with 0, shifts by X take its low five bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from enforcer.cbpf.instruction import DATA_SIZE, SCRATCH_WORDS, Code, Program
from enforcer.cbpf.spec import SeccompData

_WORD = 0xFFFF_FFFF


def simulate(program: Program, data: SeccompData) -> tuple[int, frozenset[int]]:
    """The answer to one call and the indices of the instructions visited.

    `program` must pass `check`; IndexError or KeyError otherwise.
    """
    return run(program, data.words())


def run(program: Program, words: Sequence[int]) -> tuple[int, frozenset[int]]:
    """The same on the sixteen words of struct seccomp_data."""
    accumulator = index = 0
    scratch = [0] * SCRATCH_WORDS
    visited: set[int] = set()
    position = 0
    while True:
        visited.add(position)
        instruction = program[position]
        position += 1
        code, k = instruction.code, instruction.k
        match code:
            case Code.LD:
                accumulator = words[k >> 2]
            case Code.JEQ | Code.JGT | Code.JGE | Code.JSET:
                taken = _compare(code, accumulator, k)
                position += instruction.jt if taken else instruction.jf
            case Code.RET:
                return k, frozenset(visited)
            case Code.RET_A:
                return accumulator, frozenset(visited)
            case Code.JA:
                position += k
            case Code.JEQ_X | Code.JGT_X | Code.JGE_X | Code.JSET_X:
                taken = _compare(code ^ _BY_INDEX, accumulator, index)
                position += instruction.jt if taken else instruction.jf
            case Code.LD_LEN:
                accumulator = DATA_SIZE
            case Code.LDX_LEN:
                index = DATA_SIZE
            case Code.LD_IMM:
                accumulator = k
            case Code.LDX_IMM:
                index = k
            case Code.LD_MEM:
                accumulator = scratch[k]
            case Code.LDX_MEM:
                index = scratch[k]
            case Code.ST:
                scratch[k] = accumulator
            case Code.STX:
                scratch[k] = index
            case Code.TAX:
                index = accumulator
            case Code.TXA:
                accumulator = index
            case Code.NEG:
                accumulator = -accumulator & _WORD
            case Code.DIV_X if index == 0:
                return 0, frozenset(visited)
            case _:
                by_index = bool(code & _BY_INDEX)
                operand = index if by_index else k
                accumulator = _ARITHMETIC[code & ~_BY_INDEX](accumulator, operand) & _WORD


_BY_INDEX = 0x08
"""The bit that makes X the operand instead of k."""

_ARITHMETIC: Mapping[int, Callable[[int, int], int]] = {
    Code.ADD: lambda a, b: a + b,
    Code.SUB: lambda a, b: a - b,
    Code.MUL: lambda a, b: a * b,
    Code.DIV: lambda a, b: a // b,
    Code.OR: lambda a, b: a | b,
    Code.AND: lambda a, b: a & b,
    Code.XOR: lambda a, b: a ^ b,
    Code.LSH: lambda a, b: a << (b & 31),
    Code.RSH: lambda a, b: a >> (b & 31),
}


def _compare(code: int, left: int, right: int) -> bool:
    match code:
        case Code.JEQ:
            return left == right
        case Code.JGT:
            return left > right
        case Code.JGE:
            return left >= right
        case _:
            return left & right != 0

"""The reference simulator, and the fast one that must equal it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.cbpf import Code, Instruction, SeccompData, check, simulate
from enforcer.cbpf.fast import fast_simulator
from tests.cbpf.programs import valid_programs

ARCH = 0xC000_003E
DATA = SeccompData(59, ARCH, (0x1_0000_0005, 3, 0, 0, 0, 0), 0x7F00_0000_1000)


def run(*instructions: Instruction) -> int:
    check(instructions)
    answer, _ = simulate(instructions, DATA)
    assert fast_simulator(instructions)(DATA) == answer
    return answer


def load(value: int) -> Instruction:
    return Instruction(Code.LD_IMM, value)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, 59), (4, ARCH), (8, 0x1000), (12, 0x7F00), (16, 5), (20, 1), (24, 3), (60, 0)],
)
def test_loads_read_seccomp_data(offset: int, expected: int) -> None:
    """Every field lies where the kernel puts it."""
    assert run(Instruction(Code.LD, offset), Instruction(Code.RET_A)) == expected


@pytest.mark.parametrize(
    ("code", "left", "right", "expected"),
    [
        (Code.ADD, 0xFFFF_FFFF, 2, 1),
        (Code.SUB, 1, 2, 0xFFFF_FFFF),
        (Code.MUL, 0x1_0001, 0x1_0001, 0x2_0001),
        (Code.DIV, 7, 2, 3),
        (Code.OR, 5, 10, 15),
        (Code.AND, 7, 10, 2),
        (Code.XOR, 7, 10, 13),
        (Code.LSH, 0x8000_0001, 1, 2),
        (Code.RSH, 0x8000_0001, 31, 1),
    ],
)
def test_arithmetic_has_32_bits(code: Code, left: int, right: int, expected: int) -> None:
    """Results wrap; by constant and by X alike."""
    end = Instruction(Code.RET_A)
    by_index = (Instruction(Code.LDX_IMM, right), load(left), Instruction(code | 8))
    assert run(load(left), Instruction(code, right), end) == expected
    assert run(*by_index, end) == expected


def test_shift_by_x_takes_five_bits() -> None:
    """As the kernel's eBPF does."""
    shift = (Instruction(Code.LDX_IMM, 33), load(1), Instruction(Code.LSH_X))
    assert run(*shift, Instruction(Code.RET_A)) == 2
    shift = (Instruction(Code.LDX_IMM, 33), load(8), Instruction(Code.RSH_X))
    assert run(*shift, Instruction(Code.RET_A)) == 4


def test_scratch_is_read_back() -> None:
    """Into the accumulator, whatever was in it."""
    written = (load(3), Instruction(Code.ST, 1), load(9), Instruction(Code.LD_MEM, 1))
    assert run(*written, Instruction(Code.RET_A)) == 3


def test_division_by_zero_ends_with_zero() -> None:
    """Which seccomp takes for KILL_THREAD."""
    for constant in (0, 3):
        division = (Instruction(Code.LDX_IMM, 0), load(9), Instruction(Code.DIV_X, constant))
        assert run(*division, Instruction(Code.RET, 5)) == 0


def test_registers_and_scratch_move() -> None:
    """TAX, TXA, ST, STX, LD_MEM, LDX_MEM, LEN and NEG."""
    moves = (
        load(3),
        Instruction(Code.ST, 1),
        Instruction(Code.TAX),
        Instruction(Code.STX, 2),
        Instruction(Code.LD_LEN),
        Instruction(Code.LDX_MEM, 1),
        Instruction(Code.ADD_X),
        Instruction(Code.LDX_LEN),
        Instruction(Code.SUB_X),
        Instruction(Code.NEG),
        Instruction(Code.TAX),
        Instruction(Code.LD_MEM, 2),
        Instruction(Code.TXA),
    )
    assert run(*moves, Instruction(Code.RET_A)) == 0xFFFF_FFFD


@pytest.mark.parametrize(
    ("code", "value", "taken"),
    [
        (Code.JEQ, 5, True),
        (Code.JEQ, 6, False),
        (Code.JGT, 5, False),
        (Code.JGT, 4, True),
        (Code.JGE, 5, True),
        (Code.JGE, 6, False),
        (Code.JSET, 4, True),
        (Code.JSET, 2, False),
        (Code.JSET, 6, True),
        (Code.JSET, 10, False),
    ],
)
def test_branches(code: Code, value: int, taken: bool) -> None:
    """Each comparison by constant and by X; the visited instructions are those of one way."""
    ways = (Instruction(Code.RET, 0), Instruction(Code.RET, 1))
    assert run(load(5), Instruction(code, value, 1, 0), *ways) == taken
    index = Instruction(Code.LDX_IMM, value)
    assert run(index, load(5), Instruction(code | 8, 0, 1, 0), *ways) == taken
    program = (load(5), Instruction(code, value, 1, 0), *ways)
    assert simulate(program, DATA)[1] == {0, 1, 3 if taken else 2}


def test_long_jump() -> None:
    """JA takes 32 bits."""
    padding = [Instruction(Code.RET, 1)] * 300
    assert run(Instruction(Code.JA, 300), *padding, Instruction(Code.RET, 2)) == 2


@settings(max_examples=300, deadline=None)
@given(valid_programs(), st.tuples(*[st.integers(0, 2**64 - 1)] * 6), st.integers(0, 500))
def test_fast_simulator_equals_reference(
    program: tuple[Instruction, ...], args: tuple[int, int, int, int, int, int], nr: int
) -> None:
    """Any valid program answers alike in both simulators."""
    check(program)
    data = SeccompData(nr, ARCH, args)
    assert fast_simulator(program)(data) == simulate(program, data)[0]

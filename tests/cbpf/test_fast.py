"""The fast simulator's own way: programs of nothing but what compilers emit."""

from __future__ import annotations

import pytest

from enforcer.cbpf import Code, Instruction, SeccompData, check, simulate
from enforcer.cbpf.fast import fast_simulator
from enforcer.cbpf.instruction import Program

DATA = SeccompData(
    59,
    0xC000_003E,
    (
        0x0101_0101_0000_0001,
        0x0202_0202_0000_0002,
        0x0303_0303_0000_0003,
        0x0404_0404_0000_0004,
        0x0505_0505_0000_0005,
        0x0606_0606_0000_0006,
    ),
    0x7F00_0000_1000,
)


def ret(answer: int) -> Instruction:
    return Instruction(Code.RET, answer)


def load(offset: int) -> Instruction:
    return Instruction(Code.LD, offset)


def answers(program: Program) -> int:
    """Of both simulators, which must agree; the fast one asks the other nothing."""
    check(program)
    expected, _ = simulate(program, DATA)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr("enforcer.cbpf.fast.run")
        assert fast_simulator(program)(DATA) == expected
    return expected


WORDS = [
    *(59, 0xC000_003E, 0x1000, 0x7F00),
    *(word for number in range(1, 7) for word in (number, number * 0x0101_0101)),
]


@pytest.mark.parametrize("place", range(16))
def test_each_word(place: int) -> None:
    """A load takes the word at its offset and nothing else."""
    for value in (WORDS[place], WORDS[place] ^ 1, WORDS[place - 1]):
        program = (load(4 * place), Instruction(Code.JEQ, value, 0, 1), ret(1), ret(2))
        assert answers(program) == (1 if value == WORDS[place] else 2)


@pytest.mark.parametrize(
    ("code", "below", "equal", "above"),
    [
        (Code.JEQ, False, True, False),
        (Code.JGE, False, True, True),
        (Code.JGT, False, False, True),
    ],
)
def test_comparisons(code: Code, below: bool, equal: bool, above: bool) -> None:
    """Of the accumulator with a constant above, at and below it."""
    for constant, holds in ((60, below), (59, equal), (58, above)):
        program = (load(0), Instruction(code, constant, 0, 1), ret(1), ret(2))
        assert answers(program) == (1 if holds else 2)


@pytest.mark.parametrize(
    ("bits", "holds"), [(1, True), (2, True), (4, False), (0x44, False), (0x45, True)]
)
def test_any_bit(bits: int, holds: bool) -> None:
    """JSET holds when some of the bits is set (59 is 0x3b)."""
    program = (load(0), Instruction(Code.JSET, bits, 0, 1), ret(1), ret(2))
    assert answers(program) == (1 if holds else 2)


@pytest.mark.parametrize(("mask", "left"), [(0xF, 0xB), (0xF0, 0x30), (0, 0), (0xFFFF_FFFF, 0x3B)])
def test_masks(mask: int, left: int) -> None:
    """AND keeps the bits of the mask, also when it comes twice."""
    end = (Instruction(Code.JEQ, left, 0, 1), ret(1), ret(2))
    assert answers((load(0), Instruction(Code.AND, mask), *end)) == 1
    assert answers((load(0), Instruction(Code.AND, mask), Instruction(Code.AND, mask), *end)) == 1


@pytest.mark.parametrize("jt", range(4))
@pytest.mark.parametrize("jf", range(4))
@pytest.mark.parametrize("holds", [True, False])
def test_distances(jt: int, jf: int, holds: bool) -> None:
    """Each way leads as far as its own offset says."""
    ends = tuple(ret(100 + place) for place in range(4))
    program = (load(0), Instruction(Code.JEQ, 59 if holds else 60, jt, jf), *ends)
    assert answers(program) == 100 + (jt if holds else jf)


@pytest.mark.parametrize("distance", [0, 1, 2, 300])
def test_jumps(distance: int) -> None:
    """JA skips so many instructions, and keeps the accumulator."""
    tail = (Instruction(Code.JEQ, 59, 0, 1), ret(1), ret(2))
    program = (load(0), Instruction(Code.JA, distance), *(ret(3),) * distance, *tail)
    assert answers(program) == 1


def test_the_last_load_counts() -> None:
    """Each load replaces what an earlier one brought."""
    program = (load(0), load(16), Instruction(Code.JEQ, 1, 0, 1), ret(1), ret(2))
    assert answers(program) == 1


@pytest.mark.parametrize("code", [Code.LD_IMM, Code.LD_LEN, Code.NEG, Code.TXA, Code.ADD])
def test_unusual_programs_are_left_to_the_reference(code: Code) -> None:
    """One operation that compilers do not emit is enough."""
    program = (load(0), Instruction(code, 1), Instruction(Code.RET_A))
    expected = {
        Code.LD_IMM: 1,
        Code.LD_LEN: 64,
        Code.NEG: 0xFFFF_FFC5,
        Code.TXA: 0,
        Code.ADD: 60,
    }
    assert fast_simulator(program)(DATA) == simulate(program, DATA)[0] == expected[code]

"""Classes of words that tests tell apart: all of them, and what is cut short is said."""

from __future__ import annotations

import itertools

import pytest

from enforcer.cbpf.instruction import Code, Instruction, Program
from enforcer.cbpf.spec import ALLOW, ERRNO
from enforcer.filters import classes, walk
from enforcer.filters.classes import CutShort, representatives
from enforcer.filters.meaning import compared
from enforcer.filters.raw import of_programs

FULL = 0xFFFF_FFFF
LOW = 0x3F
"""Bits that the tests below look at: values beyond them are in the class of one within."""


def outcome(code: int, value: int, k: int) -> bool:
    return {
        Code.JEQ: value == k,
        Code.JGT: value > k,
        Code.JGE: value >= k,
        Code.JSET: value & k != 0,
    }[Code(code)]


CASES = [
    [(FULL, Code.JEQ, 5)],
    [(FULL, Code.JGT, 5), (FULL, Code.JGE, 7)],
    [(0x30, Code.JEQ, 0x10), (0x03, Code.JEQ, 3)],
    [(0x30, Code.JEQ, 0x10), (FULL, Code.JGT, 0x24), (FULL, Code.JEQ, 0x25)],
    [(FULL, Code.JSET, 0x21), (0x0F, Code.JGE, 9), (FULL, Code.JEQ, 0x2B)],
    [(0x0C, Code.JEQ, 0x02), (0x0C, Code.JGT, 0x05)],
    [(LOW, Code.JEQ, each) for each in range(0, 60, 7)] + [(0x15, Code.JSET, 0x3F)],
]


@pytest.mark.parametrize("tests", CASES, ids=range(len(CASES)))
def test_every_class_has_a_value(tests: list[tuple[int, int, int]]) -> None:
    """The outcomes of the values are those of all words, each once, the least word for each."""

    def outcomes(value: int) -> tuple[bool, ...]:
        return tuple(outcome(code, value & mask, k) for mask, code, k in tests)

    least: dict[tuple[bool, ...], int] = {}
    for value in range(2 * (LOW + 1)):
        least.setdefault(outcomes(value), value)
    found = representatives(frozenset(tests))
    assert {outcomes(value) for value in found} == set(least)
    assert set(least.values()) <= set(found)


def looks_at_the_middle(middle: int) -> Program:
    """Two masks on one word: only 0x13 among the words on and beside the constants passes both."""
    return (
        Instruction(Code.LD, 16),
        Instruction(Code.AND, 0xF0),
        Instruction(Code.JEQ, 0x10, 0, 4),
        Instruction(Code.LD, 16),
        Instruction(Code.AND, 0x0F),
        Instruction(Code.JEQ, middle, 0, 1),
        Instruction(Code.RET, ALLOW),
        Instruction(Code.RET, ERRNO(1)),
    )


def of_number(number: int) -> Program:
    """A program that answers one number of a call otherwise."""
    return (
        Instruction(Code.LD, 0),
        Instruction(Code.JEQ, number, 0, 1),
        Instruction(Code.RET, ALLOW),
        Instruction(Code.RET, ERRNO(1)),
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (looks_at_the_middle(3), looks_at_the_middle(4)),
        (of_number(900), of_number(901)),
        (of_number(0x4000_0999), of_number(0x4000_0998)),
    ],
    ids=["two masks", "a number of no call", "one of x32"],
)
def test_what_no_constant_names_is_compared(left: Program, right: Program) -> None:
    """Programs that differ where masks meet, or for numbers of no call, are not equal."""
    mine, theirs = of_programs((left,), "a"), of_programs((right,), "b")
    assert compared(mine, mine).is_equal
    differences = compared(mine, theirs).differences
    assert {(each.left, each.right) for each in differences} == {
        (ALLOW, ERRNO(1)),
        (ERRNO(1), ALLOW),
    }


def test_what_is_cut_short_is_not_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer steps, or classes, than a program has ways, nothing is said to be equal."""
    mine = of_programs((looks_at_the_middle(3),), "a")
    monkeypatch.setattr(walk, "MOST_STEPS", 5)
    found = compared(mine, mine)
    assert (found.differences, found.is_equal) == ((), False)
    assert all("more than 5 steps" in line for line in found.unproven)
    monkeypatch.undo()
    monkeypatch.setattr(classes, "MOST_STATES", 2)
    tests = [(FULL, int(Code.JEQ), each) for each in itertools.accumulate(range(100, 104))]
    with pytest.raises(CutShort):
        representatives(frozenset(tests))

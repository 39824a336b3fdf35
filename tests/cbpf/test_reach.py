"""Which calls reach an instruction, and what is known of the accumulator there: written out."""

from __future__ import annotations

import pytest

from enforcer.cbpf import Code, Instruction
from enforcer.cbpf.reach import Numbers, State, Subject, follow

ARCH, NR = 4, 0
X86_64, I386 = 0xC000_003E, 0x4000_0003
ALL = ((0, 1 << 32),)
RET = Instruction(Code.RET, 7)


def calls(state: State | None) -> dict[int | None, tuple[tuple[int, int], ...]]:
    assert state is not None
    return {arch: numbers.ranges for arch, numbers in state.calls.items()}


def load(offset: int) -> Instruction:
    return Instruction(Code.LD, offset)


@pytest.mark.parametrize(
    ("ranges", "low", "high", "left"),
    [
        (((0, 10),), 2, 5, ((2, 5),)),
        (((0, 10),), 0, 10, ((0, 10),)),
        (((0, 10),), 10, 20, ()),
        (((0, 10),), 9, 20, ((9, 10),)),
        (((5, 10),), 0, 5, ()),
        (((5, 10),), 0, 6, ((5, 6),)),
        (((0, 3), (5, 8)), 2, 6, ((2, 3), (5, 6))),
        (((0, 3), (5, 8)), 3, 5, ()),
    ],
)
def test_within(
    ranges: tuple[tuple[int, int], ...], low: int, high: int, left: tuple[tuple[int, int], ...]
) -> None:
    """From the first number up to but not including the second."""
    found = Numbers(ranges).within(low, high)
    assert found.ranges == left
    assert list(found) == [each for each in Numbers(ranges) if low <= each < high]
    assert found.size == len(list(found))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (((0, 3),), ((5, 8),), ((0, 3), (5, 8))),
        (((5, 8),), ((0, 3),), ((0, 3), (5, 8))),
        (((0, 3),), ((3, 8),), ((0, 8),)),
        (((0, 5),), ((3, 8),), ((0, 8),)),
        (((0, 9),), ((3, 5),), ((0, 9),)),
        (((0, 3),), ((4, 5),), ((0, 3), (4, 5))),
        ((), ((1, 2),), ((1, 2),)),
    ],
)
def test_union(
    one: tuple[tuple[int, int], ...],
    other: tuple[tuple[int, int], ...],
    both: tuple[tuple[int, int], ...],
) -> None:
    """Ascending and disjoint, whatever came first."""
    assert (Numbers(one) | Numbers(other)).ranges == both


def test_nothing_is_known_at_the_start() -> None:
    """All numbers of all architectures, and no subject."""
    (state,) = follow((RET,))
    assert calls(state) == {None: ALL}
    assert state is not None
    assert state.subject is None


def test_an_architecture_is_told_by_equality() -> None:
    """Behind the test the calls of the one, and those of every other."""
    states = follow((load(ARCH), Instruction(Code.JEQ, X86_64, 0, 1), RET, RET))
    assert calls(states[2]) == {X86_64: ALL}
    assert calls(states[3]) == {None: ALL}
    twice = (load(ARCH), Instruction(Code.JEQ, X86_64, 0, 1), RET)
    states = follow((*twice, Instruction(Code.JEQ, I386, 0, 1), RET, RET))
    assert calls(states[4]) == {I386: ALL}
    assert calls(states[5]) == {None: ALL}


def test_an_architecture_that_is_gone_reaches_nothing() -> None:
    """Tested again behind its own test, the other way is dead; nobody arrives there."""
    first, second = Instruction(Code.JEQ, X86_64, 0, 2), Instruction(Code.JEQ, X86_64, 0, 1)
    states = follow((load(ARCH), first, second, RET, RET))
    assert calls(states[3]) == {X86_64: ALL}
    assert calls(states[4]) == {None: ALL}
    other = follow((load(ARCH), first, Instruction(Code.JEQ, I386, 0, 1), RET, RET))
    assert other[3] is None
    assert calls(other[4]) == {None: ALL, X86_64: ALL}


def test_architectures_are_told_only_by_equality() -> None:
    """Other comparisons, and masked words, say nothing that is kept."""
    for test in (Instruction(Code.JGE, X86_64, 0, 1), Instruction(Code.JSET, X86_64, 0, 1)):
        states = follow((load(ARCH), test, RET, RET))
        assert calls(states[2]) == calls(states[3]) == {None: ALL}
    masked = (load(ARCH), Instruction(Code.AND, 0xFF), Instruction(Code.JEQ, 0x3E, 0, 1))
    states = follow((*masked, RET, RET))
    assert calls(states[3]) == calls(states[4]) == {None: ALL}


@pytest.mark.parametrize(
    ("code", "inside", "outside"),
    [
        (Code.JEQ, ((7, 8),), ((0, 7), (8, 1 << 32))),
        (Code.JGE, ((7, 1 << 32),), ((0, 7),)),
        (Code.JGT, ((8, 1 << 32),), ((0, 8),)),
        (Code.JSET, ALL, ALL),
    ],
)
def test_numbers_are_divided(
    code: Code, inside: tuple[tuple[int, int], ...], outside: tuple[tuple[int, int], ...]
) -> None:
    """By equality and order; a test of bits divides nothing."""
    states = follow((load(NR), Instruction(code, 7, 0, 1), RET, RET))
    assert calls(states[2]) == {None: inside}
    assert calls(states[3]) == {None: outside}


def test_each_architecture_keeps_its_numbers() -> None:
    """Numbers are divided of every architecture, and join where ways meet."""
    program = (
        load(ARCH),
        Instruction(Code.JEQ, X86_64, 0, 2),
        load(NR),
        Instruction(Code.JGE, 7, 1, 0),
        Instruction(Code.JA, 0),
        RET,
    )
    states = follow(program)
    assert calls(states[4]) == {None: ALL, X86_64: ((0, 7),)}
    assert calls(states[5]) == {None: ALL, X86_64: ALL}


@pytest.mark.parametrize(
    ("between", "subject"),
    [
        ((), Subject(16)),
        ((Instruction(Code.AND, 0xFF),), Subject(16, 0xFF)),
        ((Instruction(Code.AND, 0xFF), Instruction(Code.AND, 0xF0F)), Subject(16, 0xF)),
        ((load(24),), Subject(24)),
        ((Instruction(Code.TAX),), Subject(16)),
        ((Instruction(Code.ST, 3),), Subject(16)),
        ((Instruction(Code.STX, 3),), Subject(16)),
        ((Instruction(Code.LDX_IMM, 3),), Subject(16)),
        ((Instruction(Code.LDX_LEN),), Subject(16)),
        ((Instruction(Code.ST, 3), Instruction(Code.LDX_MEM, 3)), Subject(16)),
        ((Instruction(Code.TXA),), None),
        ((Instruction(Code.NEG),), None),
        ((Instruction(Code.ADD, 1),), None),
        ((Instruction(Code.LD_IMM, 1),), None),
        ((Instruction(Code.LD_IMM, 1), Instruction(Code.AND, 1)), None),
    ],
)
def test_the_accumulator(between: tuple[Instruction, ...], subject: Subject | None) -> None:
    """What operations leave of the word that was loaded."""
    states = follow((load(16), *between, RET))
    last = states[-1]
    assert last is not None
    assert last.subject == subject


def test_the_accumulator_where_ways_meet() -> None:
    """Known if both ways bring the same, and not otherwise."""
    split = (load(16), Instruction(Code.JEQ, 1, 0, 1))
    same = follow((*split, load(16), RET))[-1]
    other = follow((*split, load(24), RET))[-1]
    assert same is not None
    assert same.subject == Subject(16)
    assert other is not None
    assert other.subject is None


@pytest.mark.parametrize("distance", [0, 1, 2])
def test_jumps(distance: int) -> None:
    """JA leads on by its distance; what it passes over is reached by nobody."""
    program = (Instruction(Code.JA, distance), *(RET,) * (distance + 1))
    states = follow(program)
    assert [index for index, state in enumerate(states) if state] == [0, 1 + distance]


@pytest.mark.parametrize("end", [RET, Instruction(Code.RET_A)])
def test_nothing_follows_a_return(end: Instruction) -> None:
    """What stands behind it needs a way of its own."""
    assert follow((end, RET))[1] is None


def test_a_branch_that_never_holds() -> None:
    """No number is below 0 nor above the last."""
    states = follow((load(NR), Instruction(Code.JGE, 0, 0, 1), RET, RET))
    assert states[3] is None
    states = follow((load(NR), Instruction(Code.JGT, 0xFFFF_FFFF, 0, 1), RET, RET))
    assert states[2] is None

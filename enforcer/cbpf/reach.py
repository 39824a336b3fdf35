"""Which calls reach each instruction of a program, and what the accumulator holds there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from enforcer.cbpf.instruction import ARCH_OFFSET, BRANCHES, NR_OFFSET, Code, Program

_END = 1 << 32
_FULL = 0xFFFF_FFFF


@dataclass(frozen=True)
class Numbers:
    """A set of call numbers as ascending disjoint ranges, ends not included."""

    ranges: tuple[tuple[int, int], ...] = ((0, _END),)

    @property
    def size(self) -> int:
        return sum(end - start for start, end in self.ranges)

    def __iter__(self) -> Iterator[int]:
        for start, end in self.ranges:
            yield from range(start, end)

    def within(self, low: int, high: int) -> Numbers:
        """Those from `low` up to but not including `high`."""
        cut = ((max(start, low), min(end, high)) for start, end in self.ranges)
        return Numbers(tuple(pair for pair in cut if pair[0] < pair[1]))

    def __or__(self, other: Numbers) -> Numbers:
        merged: list[tuple[int, int]] = []
        for start, end in sorted((*self.ranges, *other.ranges)):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return Numbers(tuple(merged))


Calls = Mapping[int | None, Numbers]
"""Numbers by AUDIT_ARCH; None stands for every architecture that no test has named."""


@dataclass(frozen=True)
class Subject:
    """The accumulator holds the word at `offset`, masked."""

    offset: int
    mask: int = _FULL


@dataclass(frozen=True)
class State:
    """What is known at an instruction; `subject` None: nothing of the accumulator."""

    subject: Subject | None
    calls: Calls


def follow(program: Program) -> list[State | None]:
    """The state before each instruction; None where nothing leads to. The program is valid."""
    states: list[State | None] = [None] * len(program)
    states[0] = State(None, {None: Numbers()})
    for index, instruction in enumerate(program):
        state = states[index]
        code = instruction.code
        if state is None or code in (Code.RET, Code.RET_A):
            continue
        if code == Code.JA:
            _arrive(states, index + 1 + instruction.k, state)
        elif code in BRANCHES:
            yes, no = _split(state, code, instruction.k)
            _arrive(states, index + 1 + instruction.jt, yes)
            _arrive(states, index + 1 + instruction.jf, no)
        else:
            subject = state.subject
            if code == Code.LD:
                subject = Subject(instruction.k)
            elif code == Code.AND and subject is not None:
                subject = Subject(subject.offset, subject.mask & instruction.k)
            elif code not in _KEEPING:
                subject = None
            _arrive(states, index + 1, State(subject, state.calls))
    return states


_KEEPING = frozenset({Code.LDX_LEN, Code.LDX_IMM, Code.LDX_MEM, Code.ST, Code.STX, Code.TAX})
"""Operations that leave the accumulator alone."""


def _arrive(states: list[State | None], index: int, state: State) -> None:
    if not state.calls:
        return
    there = states[index]
    if there is None:
        states[index] = state
        return
    calls = dict(there.calls)
    for arch, numbers in state.calls.items():
        calls[arch] = calls[arch] | numbers if arch in calls else numbers
    states[index] = State(there.subject if there.subject == state.subject else None, calls)


def _split(state: State, code: int, k: int) -> tuple[State, State]:
    """The states behind a branch that held and one that did not."""
    subject, calls = state.subject, state.calls
    if subject == Subject(ARCH_OFFSET) and code == Code.JEQ:
        known = calls.get(k, calls.get(None))
        yes: Calls = {} if known is None else {k: known}
        return State(subject, yes), State(
            subject, {arch: numbers for arch, numbers in calls.items() if arch != k}
        )
    if subject == Subject(NR_OFFSET) and code in _BOUNDS:
        low, high = _BOUNDS[Code(code)]
        inside = _narrowed(calls, k + low, k + high if high else _END)
        before = _narrowed(calls, 0, k + low)
        after = _narrowed(calls, k + high, _END) if high else {}
        outside = {
            arch: before.get(arch, _NONE) | after.get(arch, _NONE) for arch in {**before, **after}
        }
        return State(subject, inside), State(subject, outside)
    return state, state


_NONE = Numbers(())
_BOUNDS = {Code.JEQ: (0, 1), Code.JGE: (0, 0), Code.JGT: (1, 0)}
"""The numbers for which a test holds: from k plus the first up to k plus the second (0: all)."""


def _narrowed(calls: Calls, low: int, high: int) -> dict[int | None, Numbers]:
    narrowed = {arch: numbers.within(low, high) for arch, numbers in calls.items()}
    return {arch: numbers for arch, numbers in narrowed.items() if numbers.ranges}

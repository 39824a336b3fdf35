"""Every way through programs for one call, each with registers that take it.

A call's number and architecture are known; two values of another word are alike to the programs
where every test on that word has the same outcome. So a walk over one value of each such class
finds every pair of answers that some registers get, and the registers; being cut short is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from enforcer.cbpf.instruction import ARCH_OFFSET, BRANCHES, NR_OFFSET, Code, Program
from enforcer.cbpf.spec import SeccompData
from enforcer.filters.classes import CutShort, Test, representatives

_FULL = 0xFFFF_FFFF
_WORDS = 16
_FIRST_ARGUMENT = 4
MOST_STEPS = 20_000
"""Steps for one call, beyond which it is given up."""


class NotFollowed(Exception):
    """The program reckons with registers in a way that is not followed (kafel's `fd & buf`)."""


@dataclass(frozen=True)
class Word:
    """The accumulator holds word `index` of struct seccomp_data, masked."""

    index: int
    mask: int = _FULL


_Held = Word | int
_Memory = tuple[tuple[int, _Held], ...]
"""The cells of scratch memory that were written, in their order; the kernel begins with zeros."""
_Domain = Mapping[int, tuple[int, ...]]
"""The values that a word may still have, for words that a test has looked at."""


Outcome = tuple[int, int, int, int, bool]
"""(word, mask, comparison, constant, whether it held) of a test that other values come out of
otherwise.
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """What each program answers to `call`, and to every call for which all `tests` come out so."""

    answers: tuple[int, ...]
    call: SeccompData
    tests: tuple[Outcome, ...] = ()


def ways(programs: Sequence[Program], nr: int, arch: int) -> Iterator[Way]:
    """Every way of one call through all of the programs. Raises NotFollowed, CutShort."""
    walker = _Walker(tuple(programs), {_NR: nr, _ARCH: arch})
    yield from walker.ways()


def numbers_told_apart(programs: Sequence[Program], arch: int) -> tuple[int, ...]:
    """Numbers of calls, one of every class that the programs tell apart on this architecture.

    Raises NotFollowed, CutShort.
    """
    return _Walker(tuple(programs), {_ARCH: arch}).values.get(_NR, (0,))


_NR = NR_OFFSET >> 2
_ARCH = ARCH_OFFSET >> 2


class _Walker:
    def __init__(self, programs: tuple[Program, ...], known: Mapping[int, int]) -> None:
        self.programs = programs
        self.known = known
        self.steps = 0
        self.values: dict[int, tuple[int, ...]] = {}
        tests: dict[int, set[Test]] = {}
        for program in programs:
            self._collect(program, tests)
        for index, found in tests.items():
            self.values[index] = representatives(frozenset(found))

    def _collect(self, program: Program, tests: dict[int, set[Test]]) -> None:
        """(mask, comparison, constant) of every test that the call can come to, by word."""
        waiting: list[tuple[int, _Held, _Memory]] = [(0, 0, ())]
        seen: set[tuple[int, _Held, _Memory]] = set()
        while waiting:
            state = waiting.pop()
            if state in seen:
                continue
            seen.add(state)
            position, held, memory = state
            op = program[position]
            if op.code in BRANCHES:
                if isinstance(held, Word):
                    _plain_branch(op.code)
                    tests.setdefault(held.index, set()).add((held.mask, op.code, op.k))
                    waiting += [(position + 1 + way, held, memory) for way in (op.jt, op.jf)]
                else:
                    taken = _holds(op.code, held, op.k)
                    waiting.append((position + 1 + (op.jt if taken else op.jf), held, memory))
            elif op.code not in (Code.RET, Code.RET_A):
                waiting.append(self._step(program, position, held, memory))

    def _step(
        self, program: Program, position: int, held: _Held, memory: _Memory
    ) -> tuple[int, _Held, _Memory]:
        """Where an instruction that is neither branch nor return leads. Raises NotFollowed."""
        op = program[position]
        after = position + 1
        match op.code:
            case Code.LD:
                index = op.k >> 2
                return after, self.known.get(index, Word(index)), memory
            case Code.LD_IMM:
                return after, op.k, memory
            case Code.LD_MEM:
                return after, dict(memory).get(op.k, 0), memory
            case Code.ST:
                kept = {**dict(memory), op.k: held}
                return after, held, tuple(sorted(kept.items(), key=lambda each: each[0]))
            case Code.AND:
                if isinstance(held, Word):
                    return after, Word(held.index, held.mask & op.k), memory
                return after, held & op.k, memory
            case Code.JA:
                return after + op.k, held, memory
        raise NotFollowed(f"instruction {position} ({op.code:#06x}) is not followed")

    def ways(self) -> Iterator[Way]:
        """Depth first, one program after the other."""
        waiting: list[
            tuple[int, int, _Held, _Memory, _Domain, tuple[int, ...], tuple[Outcome, ...]]
        ]
        waiting = [(0, 0, 0, (), {}, (), ())]
        while waiting:
            which, position, held, memory, domain, answers, tests = waiting.pop()
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise CutShort(f"more than {MOST_STEPS} steps")
            op = self.programs[which][position]
            if op.code in (Code.RET, Code.RET_A):
                if op.code == Code.RET_A and isinstance(held, Word):
                    raise NotFollowed("the answer is computed")
                answer = held if op.code == Code.RET_A and isinstance(held, int) else op.k
                given = (*answers, answer)
                if which + 1 == len(self.programs):
                    yield Way(answers=given, call=self._call(domain), tests=tests)
                else:
                    waiting.append((which + 1, 0, 0, (), domain, given, tests))
            elif op.code in BRANCHES:
                split = list(self._branch(op.code, op.k, held, domain))
                for way, narrowed in split:
                    after = position + 1 + (op.jt if way else op.jf)
                    passed = tests
                    if len(split) > 1 and isinstance(held, Word):
                        passed = (*tests, (held.index, held.mask, op.code, op.k, way))
                    waiting.append((which, after, held, memory, narrowed, answers, passed))
            else:
                after, now, kept = self._step(self.programs[which], position, held, memory)
                waiting.append((which, after, now, kept, domain, answers, tests))

    def _branch(
        self, code: int, k: int, held: _Held, domain: _Domain
    ) -> Iterator[tuple[bool, _Domain]]:
        if isinstance(held, int):
            yield _holds(code, held, k), domain
            return
        values = domain.get(held.index, self.values[held.index])
        split: dict[bool, list[int]] = {False: [], True: []}
        for value in values:
            split[_holds(code, value & held.mask, k)].append(value)
        for way, kept in split.items():
            if kept:
                yield way, {**domain, held.index: tuple(kept)}

    def _call(self, domain: _Domain) -> SeccompData:
        words = [0] * _WORDS
        for index, values in domain.items():
            words[index] = values[0]
        plain = SeccompData(self.known[_NR], self.known[_ARCH])
        first, second = (1, 0) if not plain.big_endian else (0, 1)
        halves = [
            words[place + first] << 32 | words[place + second]
            for place in range(_FIRST_ARGUMENT, _WORDS, 2)
        ]
        a, b, c, d, e, f = halves
        pointer = words[2 + first] << 32 | words[2 + second]
        return SeccompData(plain.nr, plain.arch, (a, b, c, d, e, f), pointer)


def _plain_branch(code: int) -> None:
    if code not in (Code.JEQ, Code.JGT, Code.JGE, Code.JSET):
        raise NotFollowed("two words are compared with one another")


def _holds(code: int, value: int, k: int) -> bool:
    match code:
        case Code.JEQ:
            return value == k
        case Code.JGT:
            return value > k
        case Code.JGE:
            return value >= k
        case Code.JSET:
            return value & k != 0
    raise NotFollowed("two words are compared with one another")

"""Every way through programs for one call, each with registers that take it.

A call's number and architecture are known; of the words of its registers only those values matter
which lie on and next to the constants that the programs compare them with. So a walk over sets of
such values finds every pair of answers that some registers get, and the registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from enforcer.cbpf.instruction import ARCH_OFFSET, BRANCHES, NR_OFFSET, Code, Program
from enforcer.cbpf.spec import SeccompData

_FULL = 0xFFFF_FFFF
_WORDS = 16
_FIRST_ARGUMENT = 4
MOST_STEPS = 20_000
"""Steps for one call, beyond which what was found so far has to do."""
_MOST_VALUES = 96


class NotFollowed(Exception):
    """The program reckons with registers in a way that is not followed (kafel's `fd & buf`)."""


@dataclass(frozen=True)
class Word:
    """The accumulator holds word `index` of struct seccomp_data, masked."""

    index: int
    mask: int = _FULL


_Held = Word | int
_Domain = Mapping[int, tuple[int, ...]]
"""The values that a word may still have, for words that a test has looked at."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """What each program answers to `call`, and that these are the answers on one way."""

    answers: tuple[int, ...]
    call: SeccompData


def ways(programs: Sequence[Program], nr: int, arch: int) -> Iterator[Way]:
    """Every way of one call through all of the programs. Raises NotFollowed."""
    walker = _Walker(tuple(programs), nr, arch)
    yield from walker.ways()


class _Walker:
    def __init__(self, programs: tuple[Program, ...], nr: int, arch: int) -> None:
        self.programs = programs
        self.known = {NR_OFFSET >> 2: nr, ARCH_OFFSET >> 2: arch}
        self.nr, self.arch = nr, arch
        self.steps = 0
        self.values: dict[int, tuple[int, ...]] = {}
        tests: dict[int, set[tuple[int, int]]] = {}
        for program in programs:
            self._collect(program, tests)
        for index, found in tests.items():
            self.values[index] = _values(found)

    def _collect(self, program: Program, tests: dict[int, set[tuple[int, int]]]) -> None:
        """(mask, constant) of every test that the call can come to, by word."""
        waiting: list[tuple[int, _Held]] = [(0, 0)]
        seen: set[tuple[int, _Held]] = set()
        while waiting:
            state = waiting.pop()
            if state in seen:
                continue
            seen.add(state)
            position, held = state
            op = program[position]
            if op.code in BRANCHES:
                if isinstance(held, Word):
                    _plain_branch(op.code)
                    tests.setdefault(held.index, set()).add((held.mask, op.k))
                    waiting += [(position + 1 + way, held) for way in (op.jt, op.jf)]
                else:
                    taken = _holds(op.code, held, op.k)
                    waiting.append((position + 1 + (op.jt if taken else op.jf), held))
            elif op.code not in (Code.RET, Code.RET_A):
                waiting.append(self._step(program, position, held))

    def _step(self, program: Program, position: int, held: _Held) -> tuple[int, _Held]:
        """Where an instruction that is neither branch nor return leads. Raises NotFollowed."""
        op = program[position]
        match op.code:
            case Code.LD:
                index = op.k >> 2
                return position + 1, self.known.get(index, Word(index))
            case Code.LD_IMM:
                return position + 1, op.k
            case Code.AND:
                if isinstance(held, Word):
                    return position + 1, Word(held.index, held.mask & op.k)
                return position + 1, held & op.k
            case Code.JA:
                return position + 1 + op.k, held
        raise NotFollowed(f"instruction {position} ({op.code:#06x}) is not followed")

    def ways(self) -> Iterator[Way]:
        """Depth first, one program after the other."""
        waiting: list[tuple[int, int, _Held, _Domain, tuple[int, ...]]] = [(0, 0, 0, {}, ())]
        while waiting:
            which, position, held, domain, answers = waiting.pop()
            self.steps += 1
            if self.steps > MOST_STEPS:
                return
            op = self.programs[which][position]
            if op.code in (Code.RET, Code.RET_A):
                if op.code == Code.RET_A and isinstance(held, Word):
                    raise NotFollowed("the answer is computed")
                answer = held if op.code == Code.RET_A and isinstance(held, int) else op.k
                given = (*answers, answer)
                if which + 1 == len(self.programs):
                    yield Way(answers=given, call=self._call(domain))
                else:
                    waiting.append((which + 1, 0, 0, domain, given))
            elif op.code in BRANCHES:
                for way, narrowed in self._branch(op.code, op.k, held, domain):
                    after = position + 1 + (op.jt if way else op.jf)
                    waiting.append((which, after, held, narrowed, answers))
            else:
                after, now = self._step(self.programs[which], position, held)
                waiting.append((which, after, now, domain, answers))

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
        plain = SeccompData(self.nr, self.arch)
        first, second = (1, 0) if not plain.big_endian else (0, 1)
        halves = [
            words[place + first] << 32 | words[place + second]
            for place in range(_FIRST_ARGUMENT, _WORDS, 2)
        ]
        a, b, c, d, e, f = halves
        pointer = words[2 + first] << 32 | words[2 + second]
        return SeccompData(self.nr, self.arch, (a, b, c, d, e, f), pointer)


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


def _values(tests: set[tuple[int, int]]) -> tuple[int, ...]:
    """Values that tell the tests apart, the smallest first: zero, then on and beside each."""
    found: dict[int, None] = {0: None}
    for mask, k in sorted(tests):
        around = [k, k + 1, k - 1]
        around += [k ^ 1 << bit for bit in range(32) if mask != _FULL and mask >> bit & 1]
        around.append(k | ~mask)
        found |= dict.fromkeys(value & _FULL for value in around)
    for _, k in sorted(tests):
        bits = [1 << bit for bit in range(32) if k >> bit & 1]
        if 1 < len(bits) < 32:
            found |= dict.fromkeys(bits)
            found[~k & _FULL] = None
    found[_FULL] = None
    ordered = list(found)
    return tuple(ordered[:_MOST_VALUES])

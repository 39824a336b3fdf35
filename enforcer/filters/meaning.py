"""What filters mean, call by call: one, several stacked, and two compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from enforcer.arch import by_audit_arch
from enforcer.arch.record import Abi
from enforcer.cbpf.instruction import Program
from enforcer.cbpf.listing import answer_name
from enforcer.cbpf.simulate import simulate
from enforcer.cbpf.spec import (
    ACTION_MASK,
    ACTION_NAMES,
    CANCELLED,
    KILL_PROCESS,
    SeccompData,
    register_mask,
    table_of,
)
from enforcer.condition import holds
from enforcer.filters.classes import CutShort
from enforcer.filters.model import Filter, Form
from enforcer.filters.walk import numbers_told_apart, ways
from enforcer.syscalls import name, table

_SIGN = 0x8000_0000
_NUMBER = "call 0x"
_SHOWN_NUMBERS = 4
"""Of numbers without a name, which nobody reads in tens; `--json` has all."""
FOREIGN_ARCH = 0x1234_5678
"""An AUDIT_ARCH of no machine."""


def strictest(answers: Sequence[int]) -> int:
    """The answer of filters that are stacked, newest first (seccomp_run_filters, Linux 4.14).

    Actions are compared as signed numbers, the lowest stands; of equal ones the first, whose data
    counts.
    """
    return min(answers, key=_rank)


def mildest(answers: Sequence[int]) -> int:
    """The answer of a filter that permits whatever one of several permits: their union."""
    return max(answers, key=_rank)


def _rank(answer: int) -> int:
    action = answer & ACTION_MASK
    if action not in ACTION_NAMES:
        action = KILL_PROCESS  # what the kernel does not know kills
    return action - (1 << 32) if action & _SIGN else action


def answer_of(filter: Filter, data: SeccompData) -> int:
    """The kernel's answer to one call under all programs of the filter."""
    return strictest([simulate(program, data)[0] for program in filter.programs])


def place_of(filter: Filter, data: SeccompData) -> str:
    """The line of the text behind the answer, in parentheses; empty for what has no text."""
    if filter.spec is None:
        return ""
    found = table_of(filter.spec, data.arch, data.nr)
    if found is None:
        return "   (an ABI that the filter does not speak of)"
    mask = register_mask(found.abi)
    for clause in found.calls.get(data.nr, ()):
        if holds(clause.when, [value & mask for value in data.args]):
            return f"   ({clause.origin})"
    return "   (default)"


def abi_of(data: SeccompData) -> Abi | None:
    """The ABI of a call, x32 told by its bit."""
    plain = None
    for abi in by_audit_arch(data.arch):
        if not abi.nr_bit:
            plain = abi
        elif data.nr & abi.nr_bit and data.nr != CANCELLED:
            return abi
    return plain


def shown(data: SeccompData) -> str:
    """A call as people read it: `x86_64 socket(0x100000028)`; trailing zeros are left out."""
    abi = abi_of(data)
    if abi is None:
        return f"arch {data.arch:#x} call {data.nr}"
    called = name(abi.name, data.nr) or f"call {data.nr:#x}"
    last = max((place for place, value in enumerate(data.args, 1) if value), default=0)
    registers = ", ".join(str(each) if each < 10 else hex(each) for each in data.args[:last])
    return f"{abi.name} {called}({registers})"


def described(filter: Filter) -> str:
    """One line for people: what was read."""
    size = " + ".join(str(len(program)) for program in filter.programs)
    text = f"{filter.source}: in order, {filter.form}"
    if filter.form is not Form.BPF:
        count = len(filter.named)
        text += f", {count} call{'s' * (count != 1)} named"
    text += f", {size} instructions for {', '.join(abi.name for abi in filter.abis)}"
    notes = len(filter.notes)
    return text + (f", {notes} warning{'s' * (notes != 1)}" if notes else "")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Calls that two filters answer differently in the same way: `count` of them, one `witness`."""

    calls: tuple[str, ...]
    abi: str
    left: int
    right: int
    witness: SeccompData

    def __str__(self) -> str:
        numbers = [each for each in self.calls if each.startswith(_NUMBER)]
        shown_calls = [each for each in self.calls if each not in numbers[_SHOWN_NUMBERS:]]
        if len(numbers) > _SHOWN_NUMBERS:
            shown_calls.append(f"and {len(numbers) - _SHOWN_NUMBERS} more numbers of no call")
        listed = ", ".join(shown_calls)
        return (
            f"{self.abi}: {answer_name(self.left)} -> {answer_name(self.right)}: {listed}\n"
            f"    witness: {shown(self.witness)}"
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is answered differently, and what could not be looked at to the end.

    `asked` are calls that stand for all others, with both answers: `ways` through both filters.
    """

    differences: tuple[Difference, ...]
    unproven: tuple[str, ...]
    asked: tuple[tuple[SeccompData, int, int], ...]

    @property
    def is_equal(self) -> bool:
        """Whether it is proven that no call is answered differently."""
        return not self.differences and not self.unproven


def compared(left: Filter, right: Filter) -> Comparison:
    """Every call of every ABI of this machine, whatever its registers, under both filters.

    Numbers of no call are looked at too, one of each class that the programs tell apart. Calls with
    the same two answers stand together. Raises NotFollowed for a program that cannot be followed.
    """
    alike: dict[tuple[str, int, int], tuple[list[str], SeccompData]] = {}
    unproven: list[str] = []
    asked: list[tuple[SeccompData, int, int]] = []
    programs = (*left.programs, *right.programs)
    cut = len(left.programs)
    for abi, nr in numbers((*left.abis, *right.abis), programs, unproven):
        audit_arch = FOREIGN_ARCH if abi is None else abi.audit_arch
        where = "no ABI of ours" if abi is None else abi.name
        called = "any call" if abi is None else name(abi.name, nr) or f"call {nr:#x}"
        try:
            for way in ways(programs, nr, audit_arch):
                ours, theirs = strictest(way.answers[:cut]), strictest(way.answers[cut:])
                asked.append((way.call, ours, theirs))
                if ours != theirs:
                    calls, _ = alike.setdefault((where, ours, theirs), ([], way.call))
                    if calls[-1:] != [called]:
                        calls.append(called)
        except CutShort as error:
            unproven.append(f"{where} {called}: {error}")
    differences = (
        Difference(calls=tuple(calls), abi=where, left=ours, right=theirs, witness=witness)
        for (where, ours, theirs), (calls, witness) in alike.items()
    )
    return Comparison(differences=tuple(differences), unproven=tuple(unproven), asked=tuple(asked))


def numbers(
    abis: Sequence[Abi], programs: Sequence[Program], unproven: list[str]
) -> Iterator[tuple[Abi | None, int]]:
    """Every call of the ABIs and of those that share their AUDIT_ARCH, and of a foreign ABI.

    Of the other numbers comes one of each class that the programs tell apart.
    """
    for arch in dict.fromkeys(abi.audit_arch for abi in abis):
        listed = {nr for each in by_audit_arch(arch) for nr in table(each.name).values()}
        try:
            others = numbers_told_apart(programs, arch)
        except CutShort as error:
            unproven.append(f"numbers of no call: {error}")
            others = ()
        for nr in sorted(listed.union(others)):
            yield abi_of(SeccompData(nr, arch)), nr
    yield None, 0

"""What filters mean, call by call: one, several stacked, and two compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from enforcer.arch import by_audit_arch
from enforcer.arch.record import Abi
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
from enforcer.filters.model import Filter, Form
from enforcer.filters.walk import ways
from enforcer.syscalls import name, table

_SIGN = 0x8000_0000
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
        listed = ", ".join(self.calls)
        return (
            f"{self.abi}: {answer_name(self.left)} -> {answer_name(self.right)}: {listed}\n"
            f"    witness: {shown(self.witness)}"
        )


def difference(left: Filter, right: Filter) -> Iterator[Difference]:
    """Every call of every ABI of this machine that two filters answer differently.

    Numbers of no call are looked at by their edges. Calls with the same two answers stand together.
    Raises NotFollowed for a program that cannot be followed.
    """
    alike: dict[tuple[str, int, int], tuple[list[str], SeccompData]] = {}
    programs = (*left.programs, *right.programs)
    cut = len(left.programs)
    for abi, nr in numbers((*left.abis, *right.abis)):
        audit_arch = FOREIGN_ARCH if abi is None else abi.audit_arch
        where = "no ABI of ours" if abi is None else abi.name
        seen: set[tuple[int, int]] = set()
        for way in ways(programs, nr, audit_arch):
            ours, theirs = strictest(way.answers[:cut]), strictest(way.answers[cut:])
            if ours == theirs or (ours, theirs) in seen:
                continue
            seen.add((ours, theirs))
            called = "any call" if abi is None else name(abi.name, nr) or f"call {nr:#x}"
            calls, _ = alike.setdefault((where, ours, theirs), ([], way.call))
            calls.append(called)
    for (where, ours, theirs), (calls, witness) in alike.items():
        yield Difference(calls=tuple(calls), abi=where, left=ours, right=theirs, witness=witness)


def numbers(abis: Sequence[Abi]) -> Iterator[tuple[Abi | None, int]]:
    """Every call of the ABIs and of those that share their AUDIT_ARCH, edges, a foreign ABI."""
    every = {each.name: each for abi in abis for each in by_audit_arch(abi.audit_arch)}
    for abi in every.values():
        listed = set(table(abi.name).values())
        edges = {max(listed) + 1, abi.nr_bit | (_SIGN >> 1) - 1}
        for nr in sorted(listed | edges):
            yield abi, nr
    yield None, 0

"""A filter of others as data: what each call is answered, whichever language said so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from enforcer.arch import by_audit_arch
from enforcer.arch.record import Abi
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import Program
from enforcer.cbpf.spec import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    TRAP,
    USER_NOTIF,
    AbiTable,
    FilterSpec,
    SpecClause,
)
from enforcer.condition import LOW_HALF, TRUE, All, Any, Compare, Condition, Not, Operator, simplify
from enforcer.policy.ast import Position
from enforcer.policy.problem import Problem, Problems, Severity
from enforcer.syscalls import number, table
from enforcer.syscalls.multiplex import IPC_CALLS, SOCKETCALLS


class Form(StrEnum):
    """How a filter of others is written."""

    DOCKER = "docker"
    MINIJAIL = "minijail"
    KAFEL = "kafel"
    SYSTEMD = "systemd"
    BPF = "bpf"


ANSWERS = {
    "allow": ALLOW,
    "log": LOG,
    "kill": KILL_THREAD,
    "kill_thread": KILL_THREAD,
    "kill_process": KILL_PROCESS,
    "trap": TRAP,
    "trace": TRACE(0),
    "notify": USER_NOTIF,
}
"""Answers that need no number, by the word that most formats share."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """`answer` (SECCOMP_RET_* | data) to a call where `when` holds.

    `abis` names the ABIs that it speaks of, None: all. `line` is where it stands in `source`.
    """

    call: str | int
    when: Condition = TRUE
    answer: int
    abis: frozenset[str] | None = None
    line: int = 1
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What one process is under: several `programs` are stacked, the strictest answer stands.

    `spec` is what a text means, None where there is nothing but programs; `named` are the calls
    that it names. `default` is a policy's own, where numbers of no call are answered otherwise.
    `big_endian` is the machine's byte order. `notes` are warnings.
    """

    source: str
    form: Form
    abis: tuple[Abi, ...]
    programs: tuple[Program, ...]
    spec: FilterSpec | None = None
    notes: tuple[Problem, ...] = ()
    named: frozenset[str] = frozenset()
    default: int | None = None
    entries: tuple[Entry, ...] = field(default=(), repr=False)

    @property
    def big_endian(self) -> bool:
        return self.abis[0].big_endian


def filter_of(
    entries: Iterable[Entry],
    *,
    source: str,
    form: Form,
    abis: tuple[Abi, ...],
    default: int,
    foreign: int,
    unlisted: int | None = None,
    problems: Problems,
    by_libseccomp: bool = False,
) -> Filter:
    """The filter of a text: for each call its entries in order, the first that holds answers.

    `default` answers what no entry does, `foreign` every ABI that is not in `abis`, `unlisted` a
    sibling ABI by number (x32; None: as `foreign`). Names that an ABI lacks count for the others; a
    name that no ABI has is noted. `by_libseccomp`: the entry of a call is also one of the
    multiplexer behind which an ABI has it, and an ABI of 32-bit words has comparisons of 32 bits,
    x32 too. Raises FilterTooLarge.
    """
    listed = tuple(entries)
    tables = [_table(abi, listed, default, by_libseccomp=by_libseccomp) for abi in abis]
    spec = FilterSpec(
        (*tables, *_siblings(abis, foreign if unlisted is None else unlisted)), foreign
    )
    named = {entry.call for entry in listed if isinstance(entry.call, str)}
    return Filter(
        source=source,
        form=form,
        abis=abis,
        programs=(compile_filter(spec),),
        spec=spec,
        notes=tuple(each for each in problems.found if each.severity is Severity.WARNING),
        named=frozenset(named),
        entries=listed,
    )


def _siblings(abis: tuple[Abi, ...], answer: int) -> Iterator[AbiTable]:
    given = {abi.name for abi in abis}
    for arch in dict.fromkeys(abi.audit_arch for abi in abis):
        for sibling in by_audit_arch(arch):
            if sibling.name not in given and sibling.nr_bit:
                yield AbiTable(sibling, {}, unknown=answer)


def _table(abi: Abi, entries: tuple[Entry, ...], default: int, *, by_libseccomp: bool) -> AbiTable:
    calls: dict[int, list[SpecClause]] = {}
    for entry in entries:
        if entry.abis is not None and abi.name not in entry.abis:
            continue
        origin = f"{entry.source}:{entry.line}"
        for found, condition in _numbers(abi, entry, multiplexed=by_libseccomp):
            when = _low(condition) if by_libseccomp and _has_short_words(abi) else condition
            calls.setdefault(found, []).append(SpecClause(when, entry.answer, origin))
    return AbiTable(abi, {nr: tuple(clauses) for nr, clauses in calls.items()}, unknown=default)


def _numbers(abi: Abi, entry: Entry, *, multiplexed: bool) -> Iterator[tuple[int, Condition]]:
    if isinstance(entry.call, int):
        yield entry.call & 0xFFFF_FFFF, entry.when
        return
    found = number(abi.name, entry.call)
    if found is not None:
        yield found, entry.when
    if not multiplexed:
        return
    for multiplexer in sorted(abi.multiplexers):
        behind = table(abi.name)[multiplexer]
        for code in _codes(multiplexer, entry.call):
            yield behind, simplify(All((Compare(0, Operator.EQ, code), _beside(entry.when))))


def _codes(multiplexer: str, call: str) -> list[int]:
    codes = SOCKETCALLS if multiplexer == "socketcall" else IPC_CALLS
    return [code for code, (meant, _) in codes.items() if meant == call]


def _beside(condition: Condition) -> Condition:
    """The condition without what it says of register 0, which the multiplexer's code has taken.

    libseccomp (abi_rule_add) writes the code over the rule's first comparison and keeps the rest,
    although the other registers of a multiplexer hold no arguments of the call.
    """
    match condition:
        case Compare(argument=0):
            return TRUE
        case All(members):
            return All(tuple(map(_beside, members)))
        case Any(members):
            return Any(tuple(map(_beside, members)))
        case Not(member):
            return Not(_beside(member))
        case _:
            return condition


def _has_short_words(abi: Abi) -> bool:
    """Whether its `long` has 32 bits: x32 too, whose registers have 64."""
    return abi.bits == 32 or bool(abi.nr_bit)


def _low(condition: Condition) -> Condition:
    """The comparisons of lower halves that libseccomp makes for such an ABI (_db_rule_gen_32)."""
    match condition:
        case Compare(argument, operator, value, mask):
            return Compare(argument, operator, value & LOW_HALF, mask & LOW_HALF)
        case All(members):
            return All(tuple(map(_low, members)))
        case Any(members):
            return Any(tuple(map(_low, members)))
        case Not(member):
            return Not(_low(member))


def errno_answer(value: int) -> int | None:
    """The answer that fails a call with errno `value`; None where the kernel has no such errno."""
    return ERRNO(value) if 0 <= value <= 4095 else None


def note(problems: Problems, line: int, message: str, mend: str = "") -> None:
    """A warning at a line."""
    problems.add(Position(line, 1), message, mend, Severity.WARNING)

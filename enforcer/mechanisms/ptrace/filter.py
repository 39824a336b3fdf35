"""The filter of the mechanism: what stops for the tracer beside what the policy defers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from errno import ENOSYS, EPERM

from enforcer.arch.record import Abi
from enforcer.call import Transition
from enforcer.cbpf.spec import (
    ALLOW,
    ERRNO,
    TRACE,
    USER_NOTIF,
    AbiTable,
    FilterSpec,
    SpecClause,
    always,
)
from enforcer.condition import LOW_HALF, TRUE, WORD, All, Any, Compare, Condition, Operator
from enforcer.mechanisms.filter_spec import spec_from_policies, supervised, supervised_answer
from enforcer.mechanisms.ptrace.calls.processes import (
    BEGINS_TRACING,
    CLONE_NEW_WORLD,
    CLONE_UNTRACED,
    CREDENTIAL_CALLS,
    FAULT_CALLS,
    MEMORY_CALLS,
    WORLD_CALLS,
)
from enforcer.mechanisms.ptrace.calls.target_filters import LISTENS, MOVES_BREAK
from enforcer.mechanisms.ptrace.private import AGAIN, ANSWERS, ASKS, DELIVER, HELLO
from enforcer.mechanisms.ptrace.slots import SPAN
from enforcer.mechanisms.ptrace.task_policy import detached
from enforcer.mechanisms.ptrace.trampoline import WAYS
from enforcer.policy.ast import Policy
from enforcer.supervision import cores
from enforcer.supervision.protect import MEDIATED, mediate
from enforcer.syscalls import name as name_of
from enforcer.syscalls import number, syscall

REWRITTEN = frozenset(
    {"close", "execve", "execveat", "mmap", "mmap2", "mprotect", "mseal", "openat2", "sendmsg"}
)
"""Calls that stopped calls are turned into, or that the launcher needs: never refused unseen."""

_ASK = TRACE(ASKS)
_NEAR = 1 << 24


def _has_bits(register: int, bits: int) -> Condition:
    single = (1 << place for place in range(32) if bits >> place & 1)
    return Any(tuple(Compare(register, Operator.NE, 0, bit) for bit in single))


def _reaches_slots(name: str, abi: Abi) -> Condition:
    """Whether a call may touch the slots at their usual place; some that miss it are in it too."""
    return Any(
        tuple(
            All((_reaches(each.start, each.length, abi), each.when))
            for each in syscall(name, abi.name).remaps
        )
    )


def _reaches(start: int, size: int | None, abi: Abi) -> Condition:
    base, untagged = abi.spare_address, WORD & ~abi.tag_bits
    before_end = Compare(start, Operator.LT, base + SPAN, untagged)
    if size is None or base <= _NEAR:
        return before_end
    near = Compare(start, Operator.GE, base - _NEAR, untagged)
    long = Compare(size, Operator.GE, _NEAR)
    return All((before_end, Any((near, long))))


_RARE = "remap_file_pages"
"""Refused by the filter itself where it reaches the slots (deprecated since Linux 3.16)."""

_CLONE_BITS = CLONE_NEW_WORLD | CLONE_UNTRACED

WATCHED: Mapping[str, Condition] = {
    **MEDIATED,
    **dict.fromkeys(WORLD_CALLS, TRUE),
    "clone": Any((_has_bits(0, _CLONE_BITS), _has_bits(1, _CLONE_BITS))),
    **dict.fromkeys(CREDENTIAL_CALLS, TRUE),
    "landlock_restrict_self": TRUE,
    "userfaultfd": TRUE,
    "umask": TRUE,
    "ioctl": Any((MEDIATED["ioctl"], FAULT_CALLS["ioctl"])),
    "clone3": TRUE,
    "seccomp": Compare(0, Operator.EQ, 1, LOW_HALF),
    "prctl": Any((Compare(0, Operator.EQ, 22, LOW_HALF), MOVES_BREAK)),
    "ptrace": Any((MEDIATED["ptrace"], *(Compare(0, Operator.EQ, n) for n in BEGINS_TRACING))),
}
"""Calls that the policy permits by registers alone and that the tracer must see all the same.

The flags of clone are in register 1 on s390x: elsewhere a stack address with such bits stops once
too often.
"""


_EXECUTIONS: Mapping[str, Condition] = {"execve": TRUE, "execveat": TRUE}


def build_filter(policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
    """The filter under which targets of `policies` run.

    Filters cannot be taken back: where an execution changes the policy, executions are seen, and
    the kernel only gives answers that hold for whatever policy a task can come to.
    """
    reachable = [*policies]
    if any(_detaches(policy) for policy in policies):
        reachable.append(detached(policies[0]))
    watched = {**WATCHED, **cores.watched(policies), **(_EXECUTIONS if len(reachable) > 1 else {})}
    spec = spec_from_policies(reachable, abis, defer=_ASK, answer=supervised_answer)
    spec = mediate(supervised(spec, _ASK), watched, _ASK)
    spec = replace(spec, tables=tuple(_with_guarded_slots(table) for table in spec.tables))
    return replace(spec, tables=tuple(_with_own_calls(table) for table in spec.tables))


def _with_guarded_slots(table: AbiTable) -> AbiTable:
    """Memory calls matter where the slots are mapped at their usual place and cannot be sealed."""
    watched = {name: _reaches_slots(name, table.abi) for name in MEMORY_CALLS if name != _RARE}
    (guarded,) = mediate(FilterSpec((table,), 0), watched, _ASK).tables
    return guarded


def _detaches(policy: Policy) -> bool:
    return any(rule.transition is Transition.DETACH for rule in policy.rules)


def _with_own_calls(table: AbiTable) -> AbiTable:
    if not table.calls:
        return table
    calls = {
        number: _own_clauses(name_of(table.abi.name, number) or "", table.abi, clauses)
        for number, clauses in table.calls.items()
    }
    calls[HELLO] = always(_ASK, "the launcher's greeting")
    calls[AGAIN] = always(_ASK, "on the way back from a rewritten call")
    calls[DELIVER] = always(USER_NOTIF, "a descriptor for a held call")
    if table.abi.name in WAYS:
        for result, answering in ANSWERS.items():
            calls[answering] = always(ERRNO(-result), "the result of a held call")
    return replace(table, calls=calls)


def _own_clauses(name: str, abi: Abi, clauses: tuple[SpecClause, ...]) -> tuple[SpecClause, ...]:
    hides_memory = name == "mmap" and number(abi.name, "mmap2") is not None
    if hides_memory or (name == "clone3" and abi.number_in_instruction):
        old = (ALLOW, _ASK)  # the arguments lie in memory, and no copy can be made of them
        return tuple(replace(c, answer=ERRNO(ENOSYS)) if c.answer in old else c for c in clauses)
    if name in REWRITTEN:
        return tuple(
            clause if clause.answer == ALLOW else replace(clause, answer=_ASK) for clause in clauses
        )
    if name == _RARE:
        reaches = _reaches_slots(name, abi)
        return (SpecClause(reaches, ERRNO(EPERM), "protection of the slots"), *clauses)
    if name == "seccomp":
        listens = All((Compare(0, Operator.EQ, 1, LOW_HALF), Compare(1, Operator.NE, 0, LISTENS)))
        return (SpecClause(listens, _ASK, "the listener's place is taken"), *clauses)
    return clauses

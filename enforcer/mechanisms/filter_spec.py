"""From policies to the specification of a seccomp filter: what the kernel itself can answer.

Seccomp, ptrace and notify share it. They differ in what is done with the rest (`defer`) and in the
calls that they answer by rules of their own (`forced`).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from enforcer.arch import by_audit_arch
from enforcer.arch.record import Abi
from enforcer.call import Action, Decision
from enforcer.cbpf.spec import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    AbiTable,
    FilterSpec,
    SpecClause,
    always,
)
from enforcer.condition import (
    FALSE,
    LOW_HALF,
    TRUE,
    All,
    Any,
    Compare,
    Condition,
    Not,
    Operator,
    holds,
    simplify,
)
from enforcer.policy.ast import Policy
from enforcer.policy.residual import Clause, joined
from enforcer.syscalls import table, varies
from enforcer.syscalls.multiplex import IPC_CALLS, SOCKETCALLS, UNKNOWN, split

Answerer = Callable[[Decision], int | None]

_NO_ARGUMENTS = (0, 0, 0, 0, 0, 0)


def kernel_answer(decision: Decision) -> int | None:
    """The answer of a filter; None: it needs a supervisor, which must see the call.

    That sees what it has to log and what it performs with other ids. ASK is denied with EPERM.
    """
    if decision.log or decision.elevation is not None:
        return None
    match decision.action:
        case Action.PERMIT:
            return ALLOW
        case Action.KILL:
            return KILL_PROCESS
        case _:
            return ERRNO(decision.refusal)


def supervised_answer(decision: Decision) -> int | None:
    """The answer of a filter with a supervisor behind it, which sees and logs every refusal.

    A kill above all is the supervisor's: its log names the call before the task ends.
    """
    return kernel_answer(decision) if decision.action is Action.PERMIT else None


def supervised(spec: FilterSpec, defer: int) -> FilterSpec:
    """`spec` with numbers that no table has brought to the supervisor too, for its log.

    What stands for other ABIs (x32) is still killed there, unseen.
    """
    tables = tuple(replace(table, unknown=defer) if table.calls else table for table in spec.tables)
    return replace(spec, tables=tables)


def spec_from_policies(
    policies: Sequence[Policy],
    abis: Sequence[Abi],
    *,
    defer: int,
    forced: Mapping[str, tuple[SpecClause, ...]] | None = None,
    answer: Answerer = kernel_answer,
) -> FilterSpec:
    """The filter for tasks that can come under any of `policies`, on `abis`.

    A call is answered in the kernel where all policies agree and no memory of the target is
    needed; `defer` is the answer to the rest. `forced` replaces the clauses of named calls, also
    where a multiplexer (socketcall, ipc) stands for them as far as the clauses are unconditional.
    Every listed call of every ABI gets clauses; an unlisted number gets ENOSYS, a foreign ABI and
    one that shares its AUDIT_ARCH with a given one (x32) KILL_PROCESS.
    """
    policies = tuple(policies)
    if not policies:
        raise ValueError("a filter needs at least one policy")
    calls = _Calls(policies, defer, forced or {}, answer)
    given = {abi.name for abi in abis}
    siblings = {
        sibling.name: sibling
        for abi in abis
        for sibling in by_audit_arch(abi.audit_arch)
        if sibling.name not in given and sibling.nr_bit
    }
    tables = [
        AbiTable(
            abi,
            {number: calls.on(abi, name, number) for name, number in table(abi.name).items()},
            unknown=ERRNO(errno.ENOSYS),
        )
        for abi in abis
    ]
    tables += [AbiTable(abi, {}, unknown=KILL_PROCESS) for abi in siblings.values()]
    return FilterSpec(tuple(tables), foreign=KILL_PROCESS)


class _Calls:
    """The clauses of each call, made once for all ABIs."""

    def __init__(
        self,
        policies: tuple[Policy, ...],
        defer: int,
        forced: Mapping[str, tuple[SpecClause, ...]],
        answer: Answerer,
    ) -> None:
        self._policies = policies
        self._defer = defer
        self._forced = forced
        self._answer = answer
        self._made: dict[tuple[str, str | None, bool], tuple[SpecClause, ...]] = {}

    def on(self, abi: Abi, name: str, number: int) -> tuple[SpecClause, ...]:
        if name in self._forced:
            return self._forced[name]
        if name in abi.multiplexers:
            return self._multiplexer(abi, name, number)
        return self._clauses(abi, name)

    def _clauses(self, abi: Abi, name: str, *, registers: bool = True) -> tuple[SpecClause, ...]:
        """`registers` False: the arguments lie in memory, so that every condition is unknown."""
        if name in self._forced:
            forced = self._forced[name]
            if registers or all(clause.when == TRUE for clause in forced):
                return forced
            return always(self._defer, f"{name} with arguments in memory")
        key = (name, abi.name if varies(name) else None, registers)
        made = self._made.get(key)
        if made is None:
            clauses = joined(self._policies, name, abi=key[1], registers=registers)
            made = self._made[key] = tuple(map(self._clause, clauses))
        return made

    def _clause(self, clause: Clause) -> SpecClause:
        if clause.decision is None:
            return SpecClause(clause.when, self._defer, "needs more than registers")
        answer = self._answer(clause.decision)
        return SpecClause(
            clause.when,
            self._defer if answer is None else answer,
            origin_of(self._policies[0], clause.decision),
        )

    def _multiplexer(self, abi: Abi, name: str, number: int) -> tuple[SpecClause, ...]:
        multiplexer = _MULTIPLEXERS[name]
        clauses: list[SpecClause] = []
        for code in multiplexer.codes:
            selected = Compare(0, Operator.EQ, code, multiplexer.mask)
            clauses += [
                SpecClause(simplify(All((selected, clause.when))), clause.answer, clause.origin)
                for clause in self._meant(abi, number, code | multiplexer.version)
            ]
        return (*clauses, *always(ERRNO(UNKNOWN[name]), f"no such {name}"))

    def _meant(self, abi: Abi, number: int, code: int) -> tuple[SpecClause, ...]:
        """The clauses of the call that `code` means, in the multiplexer's own registers."""
        places = split(abi.name, number, (code, 1, 2, 3, 4, 5))
        if places is None:
            return ()
        if places.args is None or places.name in _PARTLY_IN_MEMORY:
            return self._clauses(abi, places.name, registers=False)
        clauses = self._clauses(abi, places.name)
        return tuple(
            SpecClause(_moved(clause.when, places.args), clause.answer, clause.origin)
            for clause in clauses
        )


@dataclass(frozen=True)
class _Multiplexer:
    """The codes in the masked first register, and a version that puts arguments in registers."""

    codes: tuple[int, ...]
    mask: int
    version: int


_MULTIPLEXERS = {
    "socketcall": _Multiplexer(tuple(SOCKETCALLS), mask=LOW_HALF, version=0),
    "ipc": _Multiplexer(tuple(IPC_CALLS), mask=0xFFFF, version=1 << 16),
}

_PARTLY_IN_MEMORY = frozenset({"msgrcv", "semctl"})
"""Calls of ipc some of whose arguments lie behind its pointer register."""


def _moved(condition: Condition, places: Sequence[int]) -> Condition:
    """`condition` with every argument read from the register that `places` gives for it.

    Place 0, the multiplexer's own code, stands for an argument that the call does not have: zero.
    """
    match condition:
        case Compare(argument, operator, value, mask):
            if places[argument] == 0:
                return TRUE if holds(condition, _NO_ARGUMENTS) else FALSE
            return Compare(places[argument], operator, value, mask)
        case All(members):
            return All(tuple(_moved(member, places) for member in members))
        case Any(members):
            return Any(tuple(_moved(member, places) for member in members))
        case Not(member):
            return Not(_moved(member, places))


def origin_of(policy: Policy, decision: Decision) -> str:
    """The rule that decided, as messages name it."""
    if decision.rule is None:
        return decision.reason or "default"
    rule = policy.rules[decision.rule]
    source = policy.source or "rule"
    return f"{source}:{rule.position.line}" if rule.position else f"rule {decision.rule + 1}"

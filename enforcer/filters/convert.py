"""A filter of others as a policy, for the mechanisms and tools that take nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

from enforcer.call import Action
from enforcer.cbpf.spec import (
    ACTION_MASK,
    ALLOW,
    DATA_MASK,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRAP,
    FilterSpec,
    SpecClause,
)
from enforcer.condition import TRUE, All, Any, Compare, Condition, Not, simplify
from enforcer.filters.model import Filter
from enforcer.filters.recover import spec_of
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Position,
    RegisterSymbol,
    Rule,
    TrueSymbol,
)
from enforcer.policy.names import LAST_ERRNO
from enforcer.syscalls import syscall, table

_ERRNO = ERRNO(0)
_ENOSYS = 38
_EPERM = 1


def action_of(answer: int) -> tuple[Action, int, bool]:
    """(action, errno, logged) that come nearest to an answer of the kernel.

    TRAP kills who has no handler for SIGSYS; TRACE and USER_NOTIF fail with ENOSYS where nobody
    listens. An errno of 0, success without a call, has no other word than a denial.
    """
    match answer & ACTION_MASK:
        case action if action in (ALLOW, LOG):
            return Action.PERMIT, 0, action == LOG
        case action if action == _ERRNO:
            number = min(answer & DATA_MASK, LAST_ERRNO)
            return Action.DENY, number or _EPERM, False
        case action if action in (KILL_PROCESS, KILL_THREAD, TRAP):
            return Action.KILL, 0, False
    return Action.DENY, _ENOSYS, False


def policy_of(filter: Filter) -> Policy:
    """The policy that answers every known call of the filter's ABIs as it does, registers only.

    Calls that only a number names, numbers of no call, and ABIs that are left out are answered by
    the mechanisms' own rules. A call that two ABIs answer differently is taken from the first.
    Raises PolicyError for a compiled filter of which no rules can be made.
    """
    spec = spec_of(filter)
    default, number, _ = action_of(spec.tables[0].unknown)
    rules = list(_rules(spec))
    named = {name for rule in rules for name in rule.calls}
    carriers = sorted(
        name for name in table(filter.abis[0].name) if name not in named and syscall(name).carrier
    )
    if carriers:  # which a policy refuses with an errno of its own where no rule names them
        rules.append(Rule(calls=tuple(carriers), when=None, action=default, errno=number))
    return Policy(
        binary=None,
        dialect=Dialect.STRICT,
        rules=tuple(rules),
        default=default,
        default_errno=number or _EPERM,
        source=filter.source,
    )


def _rules(spec: FilterSpec) -> Iterator[Rule]:
    """One rule for all calls that have the same clauses, in the order of the text."""
    alike: dict[tuple[tuple[Condition, int, str], ...], list[str]] = {}
    for name, clauses in _calls(spec).items():
        key = tuple((each.when, each.answer, each.origin) for each in clauses)
        alike.setdefault(key, []).append(name)
    for key, calls in alike.items():
        for when, answer, origin in key:
            condition = simplify(when)
            action, number, logged = action_of(answer)
            line = origin.rpartition(":")[2]
            yield Rule(
                calls=tuple(calls),
                when=None if condition == TRUE else expression_of(condition),
                action=action,
                errno=number,
                log=logged,
                position=Position(int(line), 1) if line.isdecimal() else None,
            )
            if condition == TRUE:
                break


def _calls(spec: FilterSpec) -> Mapping[str, tuple[SpecClause, ...]]:
    found: dict[str, tuple[SpecClause, ...]] = {}
    for each in spec.tables:
        for name, nr in table(each.abi.name).items():
            if nr in each.calls and name not in each.abi.multiplexers:
                found.setdefault(name, each.calls[nr])
    return found


def expression_of(condition: Condition) -> Expression:
    """The same condition as a policy says it."""
    match condition:
        case Compare(argument, operator, value, mask):
            return RegisterSymbol(argument=argument, operator=operator, value=value, mask=mask)
        case Not(member):
            return NotExpression(expression_of(member))
        case All(members):
            if not members:
                return TrueSymbol()
            return reduce(AndExpression, map(expression_of, members))
        case Any(members):
            if not members:
                return NotExpression(TrueSymbol())
            return reduce(OrExpression, map(expression_of, members))

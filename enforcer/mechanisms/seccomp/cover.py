"""How far a filter that sees registers only enforces a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from enforcer.arch.record import Abi
from enforcer.call import Action, Transition
from enforcer.mechanisms.contract import Cover, Extent
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Rule,
    TextSymbol,
)
from enforcer.policy.order import judged_rules
from enforcer.policy.residual import Clause, joined, residual
from enforcer.policy.translators import Origin, known_syscall, source
from enforcer.syscalls import table, varies

TOO_MUCH_DENIED = "denies too much"
_NAMED = 3


def cover_by_registers(policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
    """One Cover a rule and one for the default.

    What cannot be decided is denied: everything errs in the direction "denies too much".
    """
    rules: list[list[str]] = [[] for _ in policy.rules]
    reading: list[set[str]] = [set() for _ in policy.rules]
    straying: list[set[str]] = [set() for _ in policy.rules]
    undecided: list[str] = []
    for name, abi in calls_of(abis):
        model = known_syscall(name, abi)
        if model is None or _is_decided(residual(policy, name, abi=abi)):
            continue
        undecided.append(name)
        for judged in judged_rules(policy, model, abi):
            rules[judged.index].append(name)
            reading[judged.index] |= _memory_texts(judged.when, name, abi)
            if any(each.when is None for each in judged.memberships):
                straying[judged.index].add(name)
    covers = [
        _cover(index, rule, rules[index], reading[index], straying[index])
        for index, rule in enumerate(policy.rules)
    ]
    return (*covers, _default(policy, undecided))


def cover_of_switching(policies: Sequence[Policy], abis: Sequence[Abi]) -> tuple[Cover, ...]:
    """What is lost because a filter cannot change with the binary; empty if all policies agree."""
    if len(policies) < 2:
        return ()
    differing = [
        name for name, abi in calls_of(abis) if not _is_decided(joined(policies, name, abi=abi))
    ]
    if not differing:
        return ()
    return (
        Cover(
            rule=None,
            extent=Extent.PARTIAL,
            reason=f"a filter cannot switch policies, which differ on {_listed(differing)}",
            errs=TOO_MUCH_DENIED,
        ),
    )


def calls_of(abis: Sequence[Abi]) -> tuple[tuple[str, str | None], ...]:
    """All calls of these ABIs, sorted; with the ABI where the arguments depend on it."""
    names = {(name, abi.name if varies(name) else None) for abi in abis for name in table(abi.name)}
    return tuple(sorted(names, key=lambda call: (call[0], call[1] or "")))


def _is_decided(clauses: Sequence[Clause]) -> bool:
    return all(clause.decision is not None for clause in clauses)


def _cover(
    index: int, rule: Rule, undecided: Sequence[str], reading: set[str], straying: set[str]
) -> Cover:
    """`reading` are the translators in memory, `straying` calls whose memory alone tells whether
    they belong to the rule's alias.
    """
    reason = _impossible(rule)
    extent = Extent.NONE
    if not reason:
        if not undecided:
            return Cover(rule=index, extent=Extent.FULL, reason=_NOTES.get(rule.action, ""))
        if reading:
            reason = f"reads memory: {', '.join(sorted(reading))}"
        elif rule.predicate is not None:
            reason = "depends on who calls"
        else:
            extent = Extent.PARTIAL
            reason = (
                f"memory tells what belongs to the alias: {_listed(sorted(straying))}"
                if straying
                else f"another rule reads memory for {_listed(undecided)}"
            )
    return Cover(rule=index, extent=extent, reason=reason, errs=TOO_MUCH_DENIED)


_NOTES: Mapping[Action, str] = {Action.ASK: "nobody is asked: denied"}


def _impossible(rule: Rule) -> str:
    if rule.elevation is not None:
        return "a filter cannot change the ids of a call"
    if rule.action is Action.PERMIT and rule.transition is Transition.DETACH:
        return "a filter cannot be taken off"
    return ""


def _default(policy: Policy, undecided: Sequence[str]) -> Cover:
    if not undecided or policy.default is not Action.PERMIT:
        return Cover(rule=None, extent=Extent.FULL, reason=_NOTES.get(policy.default, ""))
    return Cover(
        rule=None,
        extent=Extent.PARTIAL,
        reason=f"a rule reads memory for {_listed(undecided)}",
        errs=TOO_MUCH_DENIED,
    )


def _memory_texts(expression: Expression, name: str, abi: str | None) -> set[str]:
    """The translators in `expression` whose text for this call lies in memory."""
    match expression:
        case TextSymbol(translator=translator, index=index):
            found = source(name, translator, index, abi)
            return {translator} if found is not None and found.origin is Origin.MEMORY else set()
        case NotExpression(operand):
            return _memory_texts(operand, name, abi)
        case AndExpression(left, right) | OrExpression(left, right):
            return _memory_texts(left, name, abi) | _memory_texts(right, name, abi)
        case _:
            return set()


def _listed(names: Sequence[str]) -> str:
    unique = list(dict.fromkeys(names))
    rest = len(unique) - _NAMED
    return ", ".join(unique[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")

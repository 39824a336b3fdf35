"""A policy as those take it who know names and nothing else of a call: Landlock, AppArmor.

Learned rules say more of each call (`oflags eq "ro"`, `argv eq ...`), in a language whose `eq` does
not look at case. Left as they are, nothing of them could be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from enforcer.access.uses import OPENS
from enforcer.call import Action
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    Policy,
    Rule,
    TextOperator,
    TextSymbol,
)
from enforcer.policy.check import symbols
from enforcer.policy.decide import NOT_THERE
from enforcer.policy.membership import is_reading
from enforcer.policy.order import ALIAS_TRANSLATORS
from enforcer.syscalls import ALIASES

_NAMES = frozenset({"filename", "sockaddr"})


def names_alone(policy: Policy) -> tuple[Policy, tuple[str, ...]]:
    """The policy by names, and what is lost. One that is no list of plain comparisons stays."""
    lost: list[str] = []
    if policy.dialect is Dialect.SYSTRACE:
        if not all(map(_is_alike_in_strict, policy.rules)):
            return policy, ()
        policy = replace(policy, dialect=Dialect.STRICT, rules=_in_order(policy.rules))
        lost += [
            f"{rule.place}: partial, permits too much: `eq` denies this case of letters only"
            for rule in policy.rules
            if rule.action is not Action.PERMIT and _has_cases(rule.when)
        ]
    rules = []
    for rule in policy.rules:
        if _leads_nowhere(rule):
            continue
        made, dropped = _loosened(rule)
        rules.append(made)
        if dropped:
            words = ", ".join(dropped)
            lost.append(f"{rule.place}: partial, permits too much: does not look at {words}")
    return replace(policy, rules=tuple(rules)), tuple(lost)


def _is_alike_in_strict(rule: Rule) -> bool:
    """Whether both dialects read it alike, but for the case of letters."""
    if rule.when is None:
        return True
    is_on_alias = any(call in ALIASES for call in rule.calls)
    return all(
        positive
        and isinstance(symbol, TextSymbol)
        and symbol.operator is not TextOperator.NEQ
        and not (is_on_alias and symbol.translator not in ALIAS_TRANSLATORS)
        for symbol, positive in symbols(rule.when)
    )


def _in_order(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """As systrace judges them: plain rules on a call, others on it, those on its aliases."""

    def group(rule: Rule) -> int:
        if any(call in ALIASES for call in rule.calls):
            return 2
        return 0 if rule.when is None and rule.predicate is None else 1

    return tuple(sorted(rules, key=group))


def _has_cases(when: Expression | None) -> bool:
    return when is not None and any(
        isinstance(each, TextSymbol)
        and each.operator is TextOperator.EQ
        and each.operand.lower() != each.operand.upper()
        for each, _ in symbols(when)
    )


def _loosened(rule: Rule) -> tuple[Rule, tuple[str, ...]]:
    """A permit without what it asks beside names, and what that is.

    A right to a name is one for all calls that open it. An open that may only read becomes a rule
    on reading, so that it gives no right to write.
    """
    if rule.action is not Action.PERMIT or rule.when is None:
        return rule, ()
    parts = list(_conjuncts(rule.when))
    texts = [each for each in parts if isinstance(each, TextSymbol)]
    kept = [each for each in texts if each.translator in _NAMES]
    rest = [each for each in texts if each.translator not in _NAMES]
    if len(texts) != len(parts) or not kept or not rest:
        return rule, ()
    when: Expression = kept[0]
    for each in kept[1:]:
        when = AndExpression(when, each)
    calls = rule.calls
    if set(calls) <= {*OPENS, "creat"}:
        calls = ("fsread",) if any(map(_only_reads, rest)) else (*OPENS, "creat")
    dropped = tuple(dict.fromkeys(each.translator for each in rest))
    return replace(rule, calls=calls, call_positions=(), when=when), dropped


def _leads_nowhere(rule: Rule) -> bool:
    """Whether it permits what is not there, which nobody else has a name for."""
    return (
        rule.action is Action.PERMIT
        and rule.when is not None
        and any(
            isinstance(each, TextSymbol)
            and each.translator == "filename"
            and each.operand.startswith(NOT_THERE)
            for each in _conjuncts(rule.when)
        )
    )


def _conjuncts(when: Expression) -> Iterator[Expression]:
    match when:
        case AndExpression(left, right):
            yield from _conjuncts(left)
            yield from _conjuncts(right)
        case _:
            yield when


def _only_reads(symbol: TextSymbol) -> bool:
    is_whole = symbol.translator == "oflags" and symbol.operator is TextOperator.EQ
    return is_whole and is_reading(symbol.operand)

"""Which rules concern a call, and in which order they are judged."""

from __future__ import annotations

from dataclasses import dataclass

from enforcer.call import Action
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Rule,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.translators import source
from enforcer.syscalls.model import Membership, Syscall

ALIAS_TRANSLATORS = frozenset({"filename"})
"""What rules on an alias see in the systrace dialect."""

NEVER: Expression = NotExpression(TrueSymbol())


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A rule as it concerns one call.

    `memberships` are those by which an alias of the rule covers the call, empty when the rule names
    the call itself. In `when` no symbol is left whose translator the call lacks.
    """

    index: int
    rule: Rule
    memberships: tuple[Membership, ...]
    when: Expression

    @property
    def by_alias(self) -> bool:
        return bool(self.memberships)


def judged_rules(policy: Policy, model: Syscall, abi: str | None = None) -> tuple[Judged, ...]:
    """The rules that concern the call, in the order in which they are judged.

    strict: file order. systrace: plain rules on the real name, which its kernel part answered
    before anything else, then the other rules on the real name, then those on its aliases.
    """
    found: list[Judged] = []
    names = (model.name, *(each.alias for each in model.aliases))
    for index in sorted({index for name in names for index in policy.rules_on.get(name, ())}):
        rule = policy.rules[index]
        memberships: tuple[Membership, ...] = ()
        if model.name not in rule.calls:
            memberships = tuple(each for each in model.aliases if each.alias in rule.calls)
        when = rule.when or TrueSymbol()
        only = ALIAS_TRANSLATORS if memberships and policy.dialect is Dialect.SYSTRACE else None
        found.append(
            Judged(
                index=index,
                rule=rule,
                memberships=memberships,
                when=specialise(when, model.name, abi, policy.dialect, only),
            )
        )
    if policy.dialect is Dialect.SYSTRACE:
        found.sort(key=_systrace_group)
    return tuple(found)


def specialise(
    expression: Expression,
    name: str,
    abi: str | None,
    dialect: Dialect,
    only: frozenset[str] | None = None,
    negated: bool = False,
) -> Expression:
    """The expression as it reads on one call, without symbols whose translator the call lacks.

    Such a symbol is false in the systrace dialect. In strict nothing is known of it, so that a rule
    never holds because of it: it counts as false, or as true beneath an odd number of `not`.
    `only` names the translators that exist (None: all of the call's).
    """
    match expression:
        case TextSymbol(translator=translator, index=index):
            seen = only is None or translator in only
            if seen and source(name, translator, index, abi) is not None:
                return expression
            return TrueSymbol() if negated and dialect is Dialect.STRICT else NEVER
        case NotExpression(operand):
            return NotExpression(specialise(operand, name, abi, dialect, only, not negated))
        case AndExpression(left, right):
            return AndExpression(
                specialise(left, name, abi, dialect, only, negated),
                specialise(right, name, abi, dialect, only, negated),
            )
        case OrExpression(left, right):
            return OrExpression(
                specialise(left, name, abi, dialect, only, negated),
                specialise(right, name, abi, dialect, only, negated),
            )
        case _:
            return expression


def refuses_carrier(policy: Policy, model: Syscall) -> bool:
    """Whether a call that carries others unseen (io_uring) is refused.

    It is under every policy that may refuse something (an unanswered question is a refusal),
    unless a rule names the call itself.
    """
    if not model.carrier or any(model.name in rule.calls for rule in policy.rules):
        return False
    answers = {policy.default, *(rule.action for rule in policy.rules)}
    return answers != {Action.PERMIT}


def _systrace_group(judged: Judged) -> int:
    if judged.by_alias:
        return 2
    return 0 if judged.rule.when is None else 1

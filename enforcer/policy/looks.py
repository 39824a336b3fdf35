"""What the rules for one call look at: who remembers a decision must know all that it hangs on."""

from __future__ import annotations

from enforcer.condition import TRUE
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    RegisterSymbol,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.order import judged_rules
from enforcer.syscalls import syscall


def looks_only_at(
    policy: Policy, call: str, translators: frozenset[str], *, or_flags: bool = False
) -> bool:
    """Whether no rule for `call` looks at who calls, at registers, or at other texts than these.

    `or_flags`: it may look at the flags of an open for whether that is of a rule's alias.
    """
    return all(
        judged.rule.predicate is None
        and all(
            each.when is not None and (or_flags or each.when == TRUE) for each in judged.memberships
        )
        and _looks_only_at(judged.when, translators)
        for judged in judged_rules(policy, syscall(call))
    )


def _looks_only_at(expression: Expression, translators: frozenset[str]) -> bool:
    match expression:
        case TextSymbol(translator=translator):
            return translator in translators
        case RegisterSymbol():
            return False
        case TrueSymbol():
            return True
        case NotExpression(operand):
            return _looks_only_at(operand, translators)
        case AndExpression(left, right) | OrExpression(left, right):
            return _looks_only_at(left, translators) and _looks_only_at(right, translators)

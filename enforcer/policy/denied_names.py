"""The names that a policy refuses by equality: their objects may have other names."""

from __future__ import annotations

from enforcer.call import Action
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    OrExpression,
    Policy,
    TextOperator,
    TextSymbol,
)


def names_denied_by_equality(policy: Policy) -> frozenset[str]:
    """The absolute operands of `filename eq` in rules that do not permit."""
    found: set[str] = set()
    for rule in policy.rules:
        if rule.action is not Action.PERMIT and rule.when is not None:
            found |= _equal_names(rule.when)
    return frozenset(found)


def _equal_names(expression: Expression) -> set[str]:
    match expression:
        case TextSymbol(translator="filename", operator=TextOperator.EQ, operand=operand):
            return {operand} if operand.startswith("/") else set()
        case AndExpression(left, right) | OrExpression(left, right):
            return _equal_names(left) | _equal_names(right)
        case _:
            return set()

"""Values next to what a policy mentions: around its numbers and around its patterns."""

from __future__ import annotations

from collections.abc import Iterator

from enforcer.condition import LOW_HALF, WORD
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    RegisterSymbol,
    TextOperator,
    TextSymbol,
)


def symbols(policy: Policy) -> Iterator[TextSymbol | RegisterSymbol]:
    """Every comparison of a policy."""
    for rule in policy.rules:
        if rule.when is not None:
            yield from _symbols(rule.when)


def _symbols(expression: Expression) -> Iterator[TextSymbol | RegisterSymbol]:
    match expression:
        case TextSymbol() | RegisterSymbol():
            yield expression
        case NotExpression(operand):
            yield from _symbols(operand)
        case AndExpression(left, right) | OrExpression(left, right):
            yield from _symbols(left)
            yield from _symbols(right)


def registers_near(policy: Policy) -> tuple[int, ...]:
    """The numbers of a policy, off by one, with their halves swapped, equal or carried over."""
    found: dict[int, None] = {}
    for symbol in symbols(policy):
        if isinstance(symbol, RegisterSymbol):
            value, outside = symbol.value, ~symbol.mask & WORD
            low, high = value & LOW_HALF, value >> 32
            for near in (
                *(value, value - 1, value + 1, value | outside, low, low | 1 << 32),
                *(low << 32 | high, value ^ 1 << 31, value ^ 1 << 63, low | (high + 1) << 32),
                symbol.mask,
            ):
                found[near & WORD] = None
    return tuple(found)


def texts_near(policy: Policy, translator: str = "") -> tuple[str, ...]:
    """Texts that match a policy's operands, nearly match, and match with one slash more.

    With `translator` only the operands that are compared with texts of it.
    """
    found: dict[str, None] = {}
    for symbol in symbols(policy):
        if isinstance(symbol, TextSymbol) and translator in ("", symbol.translator):
            for near in _texts(symbol.operator, symbol.operand):
                found[near] = None
    return tuple(found)


def _texts(operator: TextOperator, operand: str) -> Iterator[str]:
    if operator is TextOperator.RE:
        return
    yield operand
    yield operand.swapcase()
    yield operand + "x"
    yield operand[:-1]
    if operator is TextOperator.MATCH:
        for filler in ("", "x", "x/y", ".x"):
            yield operand.replace("*", filler).replace("?", filler[:1])
        yield operand.replace("*", "x") + "/y"
        yield operand.replace("*", "x", 1).replace("*", "x/y")
    elif operator is TextOperator.INPATH:
        yield operand.rpartition("/")[0]
        yield operand + "/x"

"""Enforcers that keep what they deny open, to compare with it what is reached."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from enforcer.call import Action
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    OrExpression,
    Policy,
    TextOperator,
    TextSymbol,
)


def denied_names(policy: Policy) -> tuple[str, ...]:
    """The files that rules of the policy deny by their whole name, in the order of the rules."""
    found: list[str] = []
    for rule in policy.rules:
        if rule.action is Action.DENY and rule.when is not None:
            found.extend(name for name in _names(rule.when) if name not in found)
    return tuple(found)


def _names(condition: Expression) -> Iterator[str]:
    match condition:
        case TextSymbol(translator="filename", operator=TextOperator.EQ, operand=name):
            yield name
        case AndExpression(left, right) | OrExpression(left, right):
            yield from _names(left)
            yield from _names(right)


def open_handles(policy: Policy) -> tuple[int, ...]:
    """A descriptor, closed on exec, for each of them that is there."""
    found = []
    for name in denied_names(policy):
        with suppress(OSError):
            found.append(os.open(name, os.O_RDONLY | os.O_CLOEXEC))
    return tuple(found)

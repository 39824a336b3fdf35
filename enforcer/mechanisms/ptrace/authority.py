"""A loaded policy, prepared for the decisions of the hot path."""

from __future__ import annotations

import errno
from dataclasses import replace

from enforcer.call import Action, Decision
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    RegisterSymbol,
)
from enforcer.policy.decider import Decider


class Authority:
    """One policy.

    `permitted` are calls of openat that were permitted: name, dirfd, flags and mode. They may only
    be remembered where no rule looks at the pointer, or at who calls.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.decider = Decider(policy)
        self.decide = self.decider.decide
        self._needs: dict[str, frozenset[str]] = {}
        self.permitted: set[tuple[bytes, int, int, int]] = set()
        self.remembers = not looks_at_pointer(policy)
        self.judges_names = "filename" in self.needs("openat")
        self.has_predicates = any(rule.predicate is not None for rule in policy.rules)

    def needs(self, name: str) -> frozenset[str]:
        """The translators of memory arguments that rules for call `name` look at."""
        found = self._needs.get(name)
        if found is None:
            found = self._needs[name] = self.decider.needs(name)
        return found


def looks_at_pointer(policy: Policy) -> bool:
    """Whether some rule hangs on the caller, or on the register in which openat has its name."""
    return any(
        rule.predicate is not None or (rule.when is not None and _names_pointer(rule.when))
        for rule in policy.rules
    )


def _names_pointer(expression: Expression) -> bool:
    match expression:
        case RegisterSymbol():
            return expression.argument == 1
        case NotExpression(operand):
            return _names_pointer(operand)
        case AndExpression(left, right) | OrExpression(left, right):
            return _names_pointer(left) or _names_pointer(right)
        case _:
            return False


def detached(policy: Policy) -> Policy:
    """What a task comes under that left `policy` by [detach]: all, while the tracer lives."""
    return replace(policy, rules=(), detached=True)


def errno_of(decision: Decision) -> int:
    """0 for a permitted call, else the positive errno of the answer; KILL must be handled before.

    ASK is EPERM: nobody can be asked.
    """
    match decision.action:
        case Action.PERMIT:
            return 0
        case Action.DENY:
            return decision.errno or errno.EPERM
        case _:
            return errno.EPERM

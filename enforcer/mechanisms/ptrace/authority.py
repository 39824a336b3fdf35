"""A loaded policy, prepared for the decisions of the hot path."""

from __future__ import annotations

import errno
from dataclasses import replace

from enforcer.call import Action, Decision
from enforcer.policy.ast import Policy
from enforcer.policy.decider import Decider


class Authority:
    """One policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.binary = policy.binary
        self.decider = Decider(policy)
        self.decide = self.decider.decide
        self._needs: dict[str, frozenset[str]] = {}
        self.has_predicates = any(rule.predicate is not None for rule in policy.rules)

    def needs(self, name: str) -> frozenset[str]:
        """The translators of memory arguments that rules for call `name` look at."""
        found = self._needs.get(name)
        if found is None:
            found = self._needs[name] = self.decider.needs(name)
        return found


def detached_authority(policy: Policy) -> Authority:
    """What a task comes under that left `policy` by [detach]: all, while the tracer lives."""
    return Authority(replace(policy, rules=(), detached=True))


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

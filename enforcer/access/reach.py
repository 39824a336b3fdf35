"""From a policy to the names and ports that one access may reach, with what is lost on the way.

Pure. An access (a call, one half of an open, one of its names) is followed through the rules to the
Region on which it is permitted, and to the places within that rules deny.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from enforcer.access.notes import TOO_MUCH_DENIED, TOO_MUCH_PERMITTED, Notes
from enforcer.access.places import (
    EVERYWHERE,
    NOWHERE,
    Place,
    Region,
    common,
    region_of,
    region_of_expression,
    united,
)
from enforcer.access.uses import Use
from enforcer.call import Action
from enforcer.mechanisms.contract import Extent
from enforcer.policy.ast import (
    AndExpression,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Rule,
    TextOperator,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.order import Judged, judged_rules
from enforcer.syscalls import syscall

_ADDRESS = re.compile(r"inet6?-\[[^\]]*\]:(?P<port>\d{1,5})")
_ANY_PORT = range(1 << 16)


@dataclass(frozen=True)
class Step:
    """What one rule says (None: the default): an access to the names of `region` is permitted or
    not; with `outside`, to all other names.
    """

    index: int | None
    permits: bool
    region: Region
    outside: bool = False

    def concerns(self, place: Place) -> bool:
        """Whether it speaks of all names of `place`, so far as hierarchies go."""
        return self.region.contains(region_of([place])) is not self.outside


@dataclass(frozen=True)
class Reach:
    """Where an access is permitted: the first step that concerns a name decides; the last one
    concerns every name.
    """

    steps: tuple[Step, ...]

    @property
    def permitted(self) -> Region:
        """Where it is, but for what rules deny within (`denied`): what has no denials of its own
        permits that much.
        """
        found, limit = NOWHERE, EVERYWHERE
        for step in self.steps:
            if step.permits:
                found = united(found, common(step.region, limit))
            elif step.outside:
                limit = common(limit, step.region)
        return found

    @property
    def denied(self) -> tuple[tuple[int, Region], ...]:
        """What rules deny by name, each with its place in the policy."""
        return tuple(
            (step.index, step.region)
            for step in self.steps
            if not step.permits
            and not step.outside
            and step.index is not None
            and not step.region.is_everything
        )

    def permits(self, place: Place) -> bool:
        """Whether the access is permitted there."""
        return self.deciding(place).permits

    def deciding(self, place: Place) -> Step:
        """The step that decides there."""
        return next(step for step in self.steps if step.concerns(place))


def concerning(policy: Policy, use: Use) -> list[tuple[Judged, Expression]]:
    """The rules that concern an access, with what they ask of it."""
    found = []
    for judged in judged_rules(policy, syscall(use.call)):
        aliases = {membership.alias for membership in judged.memberships}
        if judged.by_alias and use.alias not in aliases:
            continue
        when = folded(judged.when)
        if when != NotExpression(TrueSymbol()):
            found.append((judged, when))
    return found


def reach_of_use(policy: Policy, use: Use, notes: Notes) -> Reach:
    """Where an access is permitted. What cannot be expressed is noted and left out."""
    steps: list[Step] = []
    if policy.detached:
        return Reach((Step(None, True, EVERYWHERE),))
    for judged, when in concerning(policy, use):
        rule, index = judged.rule, judged.index
        slot = 0 if judged.by_alias else use.slot
        plain = when == TrueSymbol() and rule.predicate is None
        region = EVERYWHERE if plain else _asked(policy, rule, when, slot)
        permits = rule.action is Action.PERMIT
        if permits and rule.elevation is not None:
            reason = "the ids of a call cannot be changed"
            notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
            continue
        if region is not None:
            steps.append(Step(index, permits, region))
            if plain:
                return Reach(tuple(steps))
            continue
        if permits:
            reason = f"not a set of hierarchies, on {use.call}"
            notes.add(index, Extent.NONE, TOO_MUCH_DENIED, reason)
            continue
        outside = _denied_outside(policy, rule, when, slot)
        if outside is None:
            reason = f"the denied names are not a set of hierarchies, on {use.call}"
            notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
        elif not outside.is_everything:
            steps.append(Step(index, False, outside, outside=True))
    return Reach((*steps, Step(None, policy.default is Action.PERMIT, EVERYWHERE)))


def _asked(policy: Policy, rule: Rule, when: Expression, slot: int) -> Region | None:
    if rule.predicate is not None:
        return None
    return region_of_expression(when, "filename", slot, policy.dialect)


def _denied_outside(policy: Policy, rule: Rule, when: Expression, slot: int) -> Region | None:
    """The region outside which the rule denies: `not` a region; everywhere if of another name."""
    if rule.predicate is not None or not isinstance(when, NotExpression):
        return None
    own = region_of_expression(when.operand, "filename", slot, policy.dialect)
    if own is not None:
        return own
    other = region_of_expression(when.operand, "filename", 1 - slot, policy.dialect)
    return None if other is None else EVERYWHERE


def ports_of(policy: Policy, call: str, notes: Notes) -> frozenset[int] | None:
    """The TCP ports that bind or connect may have; None: all."""
    if policy.detached:
        return None
    permitted: set[int] = set()
    for judged, when in concerning(policy, Use(call, alias="")):
        rule, index = judged.rule, judged.index
        plain = when == TrueSymbol() and rule.predicate is None
        ports = None if rule.predicate is not None else _ports_in(when)
        if rule.action is Action.PERMIT:
            if plain:
                return None
            if ports is None:
                reason = f"not a set of TCP ports, on {call}"
                notes.add(index, Extent.NONE, TOO_MUCH_DENIED, reason)
                continue
            reason = "a port is permitted on every address"
            notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
            permitted |= ports
            continue
        if plain:
            reason = "only TCP is denied: not UDP, MPTCP, path sockets, MSG_FASTOPEN"
            notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
            return frozenset(permitted)
        reason = f"denies some addresses and permits the rest, on {call}"
        notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    return None if policy.default is Action.PERMIT else frozenset(permitted)


def _ports_in(expression: Expression) -> frozenset[int] | None:
    match expression:
        case OrExpression(left, right):
            one, other = _ports_in(left), _ports_in(right)
            return None if one is None or other is None else one | other
        case TextSymbol(translator="sockaddr", index=0, operator=operator, operand=operand):
            found = _ADDRESS.fullmatch(operand)
            known = operator in (TextOperator.EQ, TextOperator.MATCH)
            if not known or found is None or int(found["port"]) not in _ANY_PORT:
                return None
            return frozenset({int(found["port"])})
        case _:
            return None


def is_always_denied(policy: Policy, call: str) -> bool:
    """Whether no rule and no default ever permits the call."""
    rules = concerning(policy, Use(call, alias=""))
    for judged, when in rules:
        if judged.rule.action is Action.PERMIT:
            return False
        if when == TrueSymbol() and judged.rule.predicate is None:
            return True
    return policy.default is not Action.PERMIT


def folded(expression: Expression) -> Expression:
    """The expression without constants inside it."""
    true, false = TrueSymbol(), NotExpression(TrueSymbol())
    match expression:
        case NotExpression(operand):
            inner = folded(operand)
            if inner == false:
                return true
            return inner.operand if isinstance(inner, NotExpression) else NotExpression(inner)
        case AndExpression(left, right):
            one, other = folded(left), folded(right)
            if false in (one, other):
                return false
            if one == true:
                return other
            return one if other == true else AndExpression(one, other)
        case OrExpression(left, right):
            one, other = folded(left), folded(right)
            if true in (one, other):
                return true
            if one == false:
                return other
            return one if other == false else OrExpression(one, other)
        case _:
            return expression

"""From a policy to the regions and ports that Landlock shall permit, with what is lost on the way.

Pure. Each access (a call, one half of an open, one of its names) is followed through the rules to
the Region on which it is permitted; a right is permitted where all accesses that need it are.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.kernel.landlock import FileRight, NetRight, Scope
from enforcer.mechanisms.contract import Cover, Extent
from enforcer.mechanisms.landlock.places import (
    EVERYWHERE,
    NOWHERE,
    Region,
    Shape,
    common,
    region_of_expression,
    united,
)
from enforcer.mechanisms.landlock.uses import MEDIATED, MOVES, NET_CALLS, SIGNAL_CALLS, USES, Use
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
from enforcer.syscalls import ALIASES, syscall, table

TOO_MUCH_PERMITTED = "permits too much"
TOO_MUCH_DENIED = "denies too much"
OTHER_ERRNO = "denies with another errno"
_WORST_FIRST = (TOO_MUCH_PERMITTED, TOO_MUCH_DENIED, OTHER_ERRNO)

_NAMED = 4
_ADDRESS = re.compile(r"inet6?-\[[^\]]*\]:(?P<port>\d{1,5})")
_ANY_PORT = range(1 << 16)


@dataclass
class Notes:
    """What is lost, per rule (None: the default)."""

    lost: dict[int | None, list[tuple[Extent, str, str]]] = field(default_factory=dict)

    def add(self, rule: int | None, extent: Extent, errs: str, reason: str) -> None:
        """One loss; the same is kept once."""
        entry = (extent, errs, reason)
        entries = self.lost.setdefault(rule, [])
        if entry not in entries:
            entries.append(entry)

    def cover(self, rule: int | None) -> Cover:
        """All losses of a rule as one Cover; permitting too much is the worst direction."""
        entries = self.lost.get(rule, [])
        if not entries:
            return Cover(rule=rule, extent=Extent.FULL)
        extents = {extent for extent, _, _ in entries}
        directions = {errs for _, errs, _ in entries}
        return Cover(
            rule=rule,
            extent=Extent.NONE if Extent.NONE in extents else Extent.PARTIAL,
            reason="; ".join(reason for _, _, reason in entries),
            errs=min(directions, key=_WORST_FIRST.index),
        )


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What one policy asks of Landlock. `ports` are the TCP ports permitted, None: all."""

    rights: Mapping[FileRight, Region]
    ports: Mapping[NetRight, frozenset[int] | None]
    scope: Scope
    covers: tuple[Cover, ...]

    @property
    def files(self) -> FileRight:
        """The file system rights to handle.

        Landlock refuses all moves between directories as soon as it handles anything, unless
        REFER is handled and permitted.
        """
        handled = FileRight(0)
        for right, region in self.rights.items():
            if not region.is_everything:
                handled |= right
        return handled | FileRight.REFER if handled else handled

    @property
    def net(self) -> NetRight:
        """The network rights to handle."""
        handled = NetRight(0)
        for right, ports in self.ports.items():
            if ports is not None:
                handled |= right
        return handled


def judge(policy: Policy, abis: Sequence[Abi]) -> Judgement:
    """What `policy` asks of Landlock, and how far Landlock can give it."""
    notes = Notes()
    by_use = {
        use: region_of_use(policy, use, notes)
        for use in dict.fromkeys(use for uses in USES.values() for use in uses)
    }
    rights: dict[FileRight, Region] = {}
    for right, uses in USES.items():
        region = EVERYWHERE
        for use in uses:
            region = common(region, by_use[use])
        rights[right] = region
    ports = {
        NetRight.CONNECT_TCP: _ports(policy, "connect", notes),
        NetRight.BIND_TCP: _ports(policy, "bind", notes),
    }
    _note_calls(policy, abis, notes)
    _note_shapes(policy, rights, by_use, notes)
    if policy.default is not Action.PERMIT:
        reason = "Landlock permits every call that it has no right for"
        notes.add(None, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    return Judgement(
        rights=rights,
        ports=ports,
        scope=_scope(policy, ports),
        covers=tuple(notes.cover(rule) for rule in (*range(len(policy.rules)), None)),
    )


def _concerning(policy: Policy, use: Use) -> list[tuple[Judged, Expression]]:
    """The rules that concern an access, with what they ask of it."""
    found = []
    for judged in judged_rules(policy, syscall(use.call)):
        aliases = {membership.alias for membership in judged.memberships}
        if judged.by_alias and use.alias not in aliases:
            continue
        when = _folded(judged.when)
        if when != NotExpression(TrueSymbol()):
            found.append((judged, when))
    return found


def region_of_use(policy: Policy, use: Use, notes: Notes) -> Region:
    """Where an access is permitted. What cannot be expressed is noted and left out."""
    permitted, limit = NOWHERE, EVERYWHERE
    denied: list[tuple[int, Region]] = []
    if policy.detached:
        return EVERYWHERE
    for judged, when in _concerning(policy, use):
        rule, index = judged.rule, judged.index
        slot = 0 if judged.by_alias else use.slot
        plain = when == TrueSymbol() and rule.predicate is None
        region = EVERYWHERE if plain else _asked(policy, rule, when, slot)
        if rule.action is Action.PERMIT and rule.elevation is None:
            if region is None:
                reason = f"not a set of hierarchies, on {use.call}"
                notes.add(index, Extent.NONE, TOO_MUCH_DENIED, reason)
                continue
            permitted = united(permitted, common(region, limit))
            if plain:
                return _without(permitted, denied, notes)
            continue
        if rule.action is Action.PERMIT:
            reason = "Landlock cannot change the ids of a call"
            notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
            continue
        if plain:
            return _without(permitted, denied, notes)
        if region is not None:
            denied.append((index, region))
            continue
        outside = _denied_outside(policy, rule, when, slot)
        if outside is None:
            reason = f"the denied names are not a set of hierarchies, on {use.call}"
            notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
        else:
            limit = common(limit, outside)
    if policy.default is Action.PERMIT:
        permitted = united(permitted, limit)
    return _without(permitted, denied, notes)


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


def _without(permitted: Region, denied: Sequence[tuple[int, Region]], notes: Notes) -> Region:
    """Note the rules that deny something within what is permitted, which Landlock cannot."""
    for index, region in denied:
        if common(permitted, region) != NOWHERE:
            reason = "denies names within a permitted hierarchy"
            notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    return permitted


def _ports(policy: Policy, call: str, notes: Notes) -> frozenset[int] | None:
    """The TCP ports that bind or connect may have; None: all."""
    if policy.detached:
        return None
    permitted: set[int] = set()
    for judged, when in _concerning(policy, Use(call, alias="")):
        rule, index = judged.rule, judged.index
        plain = when == TrueSymbol() and rule.predicate is None
        ports = None if rule.predicate is not None else _ports_of(when)
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


def _ports_of(expression: Expression) -> frozenset[int] | None:
    match expression:
        case OrExpression(left, right):
            one, other = _ports_of(left), _ports_of(right)
            return None if one is None or other is None else one | other
        case TextSymbol(translator="sockaddr", index=0, operator=operator, operand=operand):
            found = _ADDRESS.fullmatch(operand)
            known = operator in (TextOperator.EQ, TextOperator.MATCH)
            if not known or found is None or int(found["port"]) not in _ANY_PORT:
                return None
            return frozenset({int(found["port"])})
        case _:
            return None


def _scope(policy: Policy, ports: Mapping[NetRight, frozenset[int] | None]) -> Scope:
    """What the sandbox may not reach outside, where the policy never permits it."""
    scope = Scope(0)
    if ports[NetRight.CONNECT_TCP] is not None:
        scope |= Scope.ABSTRACT_UNIX_SOCKET
    if all(_is_always_denied(policy, call) for call in SIGNAL_CALLS):
        scope |= Scope.SIGNAL
    return scope


def _is_always_denied(policy: Policy, call: str) -> bool:
    rules = _concerning(policy, Use(call, alias=""))
    for judged, when in rules:
        if judged.rule.action is Action.PERMIT:
            return False
        if when == TrueSymbol() and judged.rule.predicate is None:
            return True
    return policy.default is not Action.PERMIT


def _note_calls(policy: Policy, abis: Sequence[Abi], notes: Notes) -> None:
    """Note what each rule denies beyond Landlock's reach."""
    known = {name for abi in abis for name in table(abi.name)}
    signals_scoped = all(_is_always_denied(policy, call) for call in SIGNAL_CALLS)
    for index, rule in enumerate(policy.rules):
        if rule.action is Action.PERMIT:
            continue
        named = {name for call in rule.calls for name in ALIASES.get(call, (call,))} & known
        reachable = named & MEDIATED
        if not signals_scoped:
            reachable -= SIGNAL_CALLS
        beyond = sorted(named - reachable)
        if beyond:
            extent = Extent.PARTIAL if reachable else Extent.NONE
            notes.add(
                index,
                extent,
                TOO_MUCH_PERMITTED,
                f"no right for {_listed(beyond)}",
            )
        if reachable & SIGNAL_CALLS:
            reason = "signals within the sandbox are not denied"
            notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
        if reachable & {"execve", "execveat"}:
            reason = "memfd and the dynamic loader execute what execve may not"
            notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
        if rule.action is Action.DENY:
            _note_errno(index, rule, reachable - SIGNAL_CALLS, notes)
        if rule.action is Action.KILL and reachable:
            reason = "the call is denied, the process not killed"
            notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)


def _note_errno(index: int, rule: Rule, reachable: Collection[str], notes: Notes) -> None:
    """Note where the kernel's errno is not the rule's."""
    if reachable and rule.errno != errno.EACCES:
        wanted = errno.errorcode.get(rule.errno, str(rule.errno))
        notes.add(index, Extent.PARTIAL, OTHER_ERRNO, f"refusals are EACCES, not {wanted}")
    moves = sorted(set(reachable) & MOVES)
    if moves and rule.errno != errno.EXDEV:
        reason = f"between directories EXDEV may be the refusal of {_listed(moves)}"
        notes.add(index, Extent.PARTIAL, OTHER_ERRNO, reason)


def _note_shapes(
    policy: Policy,
    rights: Mapping[FileRight, Region],
    by_use: Mapping[Use, Region],
    notes: Notes,
) -> None:
    """Note where rights are wider or narrower than the accesses that need them."""
    for index, rule in enumerate(policy.rules):
        if rule.action is Action.PERMIT and rule.when is not None:
            for region in _beneath_only(policy, rule):
                reason = f"the directory {region} itself can be opened as well"
                notes.add(index, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
    narrowed = {
        use
        for right, uses in USES.items()
        for use in uses
        if not rights[right].contains(by_use[use])
    }
    if narrowed:
        calls = _listed(sorted({use.call for use in narrowed}))
        _note_denied(policy, narrowed, f"rights are shared with stricter calls: {calls}", notes)
    if not rights[FileRight.READ_FILE].contains(rights[FileRight.WRITE_FILE]):
        reason = "to open for reading and writing takes both permissions"
        _note_denied(policy, USES[FileRight.WRITE_FILE], reason, notes)
    if not rights[FileRight.READ_FILE].is_everything:
        reason = "a program that may not be read is not executed, the command itself excepted"
        _note_denied(policy, USES[FileRight.EXECUTE], reason, notes)


def _note_denied(policy: Policy, uses: Iterable[Use], reason: str, notes: Notes) -> None:
    """Note at every rule that permits some of these accesses, and at the default, that it may
    not.
    """
    words = {word for use in uses for word in (use.call, use.alias)}
    for index, rule in enumerate(policy.rules):
        if rule.action is Action.PERMIT and words & set(rule.calls):
            notes.add(index, Extent.PARTIAL, TOO_MUCH_DENIED, reason)
    notes.add(None, Extent.PARTIAL, TOO_MUCH_DENIED, reason)


def _beneath_only(policy: Policy, rule: Rule) -> list[str]:
    """Directories whose content a rule permits and which nothing permits themselves."""
    if rule.when is None or not set(rule.calls) & (MEDIATED | set(ALIASES)):
        return []
    region = region_of_expression(_folded(rule.when), "filename", 0, policy.dialect)
    if region is None or region.places is None:
        return []
    return sorted(place.path for place in region.places if place.shape is Shape.BENEATH)


def _folded(expression: Expression) -> Expression:
    """The expression without constants inside it."""
    true, false = TrueSymbol(), NotExpression(TrueSymbol())
    match expression:
        case NotExpression(operand):
            inner = _folded(operand)
            if inner == false:
                return true
            return inner.operand if isinstance(inner, NotExpression) else NotExpression(inner)
        case AndExpression(left, right):
            one, other = _folded(left), _folded(right)
            if false in (one, other):
                return false
            if one == true:
                return other
            return one if other == true else AndExpression(one, other)
        case OrExpression(left, right):
            one, other = _folded(left), _folded(right)
            if true in (one, other):
                return true
            if one == false:
                return other
            return one if other == false else OrExpression(one, other)
        case _:
            return expression


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


__all__ = ["NET_CALLS", "TOO_MUCH_DENIED", "TOO_MUCH_PERMITTED", "Judgement", "judge"]

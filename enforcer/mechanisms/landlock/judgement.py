"""From a policy to the regions and ports that Landlock is to permit, with what is lost on the way.

Pure. Each access (a call, one half of an open, one of its names) is followed through the rules to
the Region on which it is permitted; a right is permitted where all accesses that need it are.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from enforcer.access.notes import (
    OTHER_ERRNO,
    TOO_MUCH_DENIED,
    TOO_MUCH_PERMITTED,
    Notes,
    listed,
)
from enforcer.access.places import (
    EVERYWHERE,
    NOWHERE,
    Region,
    Shape,
    common,
    region_of_expression,
)
from enforcer.access.reach import Reach, folded, is_always_denied, ports_of, reach_of_use
from enforcer.access.uses import Use
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.kernel.landlock import FileRight, NetRight, Scope
from enforcer.mechanisms.contract import Cover, Extent
from enforcer.mechanisms.landlock.uses import MEDIATED, MOVES, SIGNAL_CALLS, USES
from enforcer.policy.ast import Policy, Rule
from enforcer.syscalls import ALIASES, table


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
        use: _without_denials(reach_of_use(policy, use, notes), notes)
        for use in dict.fromkeys(use for uses in USES.values() for use in uses)
    }
    rights: dict[FileRight, Region] = {}
    for right, uses in USES.items():
        region = EVERYWHERE
        for use in uses:
            region = common(region, by_use[use])
        rights[right] = region
    ports = {
        NetRight.CONNECT_TCP: ports_of(policy, "connect", notes),
        NetRight.BIND_TCP: ports_of(policy, "bind", notes),
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


def _without_denials(reach: Reach, notes: Notes) -> Region:
    """What is permitted; the rules that deny something within it, which Landlock cannot, noted."""
    permitted = reach.permitted
    for index, region in reach.denied:
        if common(permitted, region) != NOWHERE:
            reason = "denies names within a permitted hierarchy"
            notes.add(index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    return permitted


def _scope(policy: Policy, ports: Mapping[NetRight, frozenset[int] | None]) -> Scope:
    """What the sandbox may not reach outside, where the policy never permits it."""
    scope = Scope(0)
    if ports[NetRight.CONNECT_TCP] is not None:
        scope |= Scope.ABSTRACT_UNIX_SOCKET
    if all(is_always_denied(policy, call) for call in SIGNAL_CALLS):
        scope |= Scope.SIGNAL
    return scope


def _note_calls(policy: Policy, abis: Sequence[Abi], notes: Notes) -> None:
    """Note what each rule denies beyond Landlock's reach."""
    known = {name for abi in abis for name in table(abi.name)}
    signals_scoped = all(is_always_denied(policy, call) for call in SIGNAL_CALLS)
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
                f"no right for {listed(beyond)}",
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
        reason = f"between directories EXDEV may be the refusal of {listed(moves)}"
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
        calls = listed(sorted({use.call for use in narrowed}))
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
    region = region_of_expression(folded(rule.when), "filename", 0, policy.dialect)
    if region is None or region.places is None:
        return []
    return sorted(place.path for place in region.places if place.shape is Shape.BENEATH)

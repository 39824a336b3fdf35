"""From a policy to what one external sandbox is told: grants, denials, ports and calls. Pure.

Every path that the policy speaks of gets the widest grant that permits no more than the policy
does; what is denied too much or cannot be denied at all is noted at the rule that it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from enforcer.access.beyond import note_beyond, note_errno
from enforcer.access.kinds import Access, Reaches, calls_of, reaches
from enforcer.access.notes import (
    TOO_MUCH_DENIED,
    TOO_MUCH_PERMITTED,
    Notes,
)
from enforcer.access.places import Place, Shape
from enforcer.access.reach import ports_of
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.mechanisms.contract import Cover, Extent
from enforcer.policy.ast import Policy, Rule, TrueSymbol
from enforcer.syscalls import ALIASES, table


@dataclass(frozen=True, kw_only=True)
class Right:
    """Kinds of access that a sandbox gives or takes together, and the words that say so.

    `directories`: of directories with all that is in them only, never of a single file.
    `below_root`: of everything but the root directory. `at_root` are its words there, if others.
    """

    access: frozenset[Access]
    words: tuple[str, ...]
    directories: bool = False
    below_root: bool = False
    at_root: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What a sandbox can be told. `everything`: where nothing is said, everything is permitted.
    `adds`: a grant is added to those of the directories above it, and takes nothing back.

    `places` have words of their own (for /proc, say). `ports` are the words by call, "connect" or
    "bind", for each port that is permitted; `closed` those that close all ports. `calls` are the
    words for one call that is denied; `call_errno` the only errno for that, 0 for any.
    """

    everything: bool
    adds: bool
    grants: tuple[Right, ...]
    denials: tuple[Right, ...] = ()
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    closed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    calls: tuple[str, ...] = ()
    call_errno: int = 0
    refusals: frozenset[int] = frozenset()

    @property
    def controlled(self) -> frozenset[Access]:
        """The kinds of access that it has any say in."""
        return frozenset().union(*(right.access for right in (*self.grants, *self.denials)))


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What one policy comes to. `told` are paths with their words, those above first; `permitted`
    what is in force at each path; `wanted` what the policy permits there.
    """

    told: tuple[tuple[str, tuple[str, ...]], ...]
    permitted: Mapping[str, frozenset[Access]]
    wanted: Mapping[str, frozenset[Access]]
    ports: Mapping[str, frozenset[int]]
    calls: Mapping[str, int]
    covers: tuple[Cover, ...]


def fit(policy: Policy, abis: Sequence[Abi], rights: Rights) -> Fitted:
    """What the sandbox is told so that it keeps as much of the policy as it can."""
    notes = Notes()
    calls = _calls(policy, abis, rights, notes)
    where = reaches(policy, notes, without=calls)
    told, permitted, wanted = _paths(where, rights, notes)
    _note_unable_to_start(permitted, rights, notes)
    ports = {
        call: open_ports
        for call in sorted({*rights.ports, *rights.closed})
        if (open_ports := ports_of(policy, call, notes)) is not None
    }
    for call, open_ports in ports.items():
        if open_ports and call not in rights.ports:
            _note_permits(policy, call, f"single ports cannot be opened for {call}", notes)
    mediated = {*calls_of(rights.controlled), *calls, *rights.ports, *rights.closed}
    note_beyond(policy, abis, mediated, notes, refusals=rights.refusals, exact=calls)
    if policy.default is not Action.PERMIT:
        reason = "every call that it has no say in is permitted"
        notes.add(None, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    return Fitted(
        told=told,
        permitted=permitted,
        wanted=wanted,
        ports=ports,
        calls=calls,
        covers=tuple(notes.cover(rule) for rule in (*range(len(policy.rules)), None)),
    )


def nearest(path: str, known: Mapping[str, frozenset[Access]]) -> frozenset[Access]:
    """What is known of the path, or of the nearest directory above it."""
    found = max((each for each in known if is_beneath(path, each)), key=len)
    return known[found]


def is_beneath(path: str, above: str) -> bool:
    """Whether `path` is `above` or lies beneath it."""
    return above in ("/", path) or path.startswith(above + "/")


def _paths(
    where: Reaches, rights: Rights, notes: Notes
) -> tuple[
    tuple[tuple[str, tuple[str, ...]], ...],
    dict[str, frozenset[Access]],
    dict[str, frozenset[Access]],
]:
    controlled = rights.controlled
    everywhere = frozenset(Access)
    # Of the root, what the sandbox permits where nothing is said; "" lies above it.
    permitted = {"": everywhere if rights.everything else everywhere - controlled}
    wanted: dict[str, frozenset[Access]] = {}
    told: list[tuple[str, tuple[str, ...]]] = []
    shapes = where.paths()
    for special in rights.places:
        shapes.setdefault(special, Shape.BENEATH)
    for path in sorted(shapes, key=lambda path: (path.count("/") if path != "/" else 0, path)):
        shape = shapes[path]
        place = Place(path, Shape.EXACT if shape is Shape.EXACT else Shape.BENEATH)
        wanted[path] = where.permitted(place)
        above = permitted[max((each for each in permitted if is_beneath(path, each)), key=len)]
        want = wanted[path] & controlled
        if path in rights.places and Access.WRITE in want:
            # The kernel's own file systems: nothing can be made or removed there anyway.
            want |= controlled & {Access.CREATE, Access.REMOVE}
        words, has = _choose(want, above & controlled, _for(rights, path, shape))
        permitted[path] = has | (everywhere - controlled)
        if has and path in rights.places:
            words = rights.places[path]
        if words:
            told.append((path, words))
        for kind in sorted(has - want):
            for step in where.denying(kind, place):
                reason = f"{kind} cannot be denied at {path}"
                notes.add(step.index, Extent.NONE, TOO_MUCH_PERMITTED, reason)
        if Access.READ in want - has and want >= controlled - {Access.EXECUTE}:
            for step in where.denying(Access.EXECUTE, place):
                reason = f"execution alone cannot be denied at {path}"
                notes.add(step.index, Extent.NONE, TOO_MUCH_DENIED, reason)
        elif want - has:
            _note_narrowed(where, want - has, path, place, notes)
        if shape is Shape.EXACT and has - above:
            reason = f"if {path} is a directory, what is beneath it is permitted as well"
            notes.add(None, Extent.PARTIAL, TOO_MUCH_PERMITTED, reason)
    del permitted[""]
    return tuple(told), permitted, wanted


def _note_unable_to_start(
    permitted: Mapping[str, frozenset[Access]], rights: Rights, notes: Notes
) -> None:
    """Where the root is hidden and nothing beneath can be given back, no program can be started."""
    gives = any(Access.EXECUTE in right.access for right in rights.grants)
    if not gives and Access.EXECUTE not in permitted.get("/", frozenset(Access)):
        reason = "it can deny / only with all that is in it, and no program could be started then"
        notes.add(None, Extent.NONE, TOO_MUCH_DENIED, reason)


def _for(rights: Rights, path: str, shape: Shape) -> Rights:
    """What can be told of such a place."""
    grants, denials = (
        tuple(
            replace(right, words=right.at_root) if path == "/" and right.at_root else right
            for right in each
            if not (right.directories and shape is Shape.EXACT)
            and not (right.below_root and path == "/")
        )
        for each in (rights.grants, rights.denials)
    )
    return replace(rights, grants=grants, denials=denials)


def _choose(
    want: frozenset[Access], above: frozenset[Access], rights: Rights
) -> tuple[tuple[str, ...], frozenset[Access]]:
    """The words for a path, and what they permit; without any it is `above`."""
    if want == above:
        return (), above
    fitting = [right for right in rights.grants if right.access <= want]
    best = max(fitting, key=lambda right: len(right.access), default=None)
    surplus = above - want
    denials = [right for right in rights.denials if surplus and right.access >= surplus]
    denial = min(denials, key=lambda right: len(right.access), default=None)
    denied = above - denial.access if denial else frozenset[Access]()
    if rights.adds and denial is None:
        has = above | (best.access if best else frozenset())
        return (best.words if best and has != above else ()), has
    if best is not None and (denial is None or len(best.access) >= len(denied)):
        return (() if best.access == above else best.words), best.access
    if denial is not None:
        return denial.words, denied
    return (), above


def _note_narrowed(
    where: Reaches, kinds: frozenset[Access], path: str, place: Place, notes: Notes
) -> None:
    """Note at the rules that permit these kinds of access that the sandbox does not."""
    reason = f"{', '.join(sorted(kinds))} at {path} cannot be permitted by itself"
    for kind in kinds:
        for step in dict.fromkeys(reach.deciding(place) for reach in where.of[kind]):
            notes.add(step.index, Extent.PARTIAL, TOO_MUCH_DENIED, reason)


def _calls(policy: Policy, abis: Sequence[Abi], rights: Rights, notes: Notes) -> dict[str, int]:
    """Calls that are denied whatever their arguments, with their errno, if there are words."""
    found: dict[str, int] = {}
    if not rights.calls or policy.detached:
        return found
    known = {name for abi in abis for name in table(abi.name)}
    permitted: set[str] = set()
    for index, rule in enumerate(policy.rules):
        named = [call for call in rule.calls if call in known]
        if rule.action is not Action.DENY or not _is_plain(rule):
            permitted |= {name for call in rule.calls for name in ALIASES.get(call, (call,))}
            continue
        for call in named:
            if call not in permitted:
                found.setdefault(call, rights.call_errno or rule.errno)
        if named and rights.call_errno not in (0, rule.errno):
            note_errno(index, rule, {rights.call_errno}, notes)
    return found


def _is_plain(rule: Rule) -> bool:
    return rule.predicate is None and (rule.when is None or rule.when == TrueSymbol())


def _note_permits(policy: Policy, call: str, reason: str, notes: Notes) -> None:
    for index, rule in enumerate(policy.rules):
        if rule.action is Action.PERMIT and call in rule.calls:
            notes.add(index, Extent.NONE, TOO_MUCH_DENIED, reason)

"""From a policy to what a security module is to permit, and what it cannot keep. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from enforcer.access.beyond import note_beyond
from enforcer.access.kinds import Access, Reaches, reaches
from enforcer.access.notes import TOO_MUCH_DENIED, TOO_MUCH_PERMITTED, Notes
from enforcer.access.places import Place, Shape
from enforcer.access.tree import Node, tree_of
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.mechanisms.contract import Cover, Extent
from enforcer.policy.ast import Policy


@dataclass(frozen=True, kw_only=True)
class Mediation:
    """What a module has a say in. `refusals` are the errno that it answers.

    `together` are kinds of access with one permission. `reads_to_execute`: a program that may not
    be read is not executed.
    """

    calls: frozenset[str]
    refusals: frozenset[int]
    together: frozenset[Access] = frozenset()
    reads_to_execute: bool = False


def judge(policy: Policy, abis: Sequence[Abi], says: Mediation) -> tuple[Node, tuple[Cover, ...]]:
    """The tree of what is permitted, narrowed to what the module can tell apart, and the covers."""
    notes = Notes()
    where = reaches(policy, notes)
    wanted = _with_what_cannot_be(tree_of(where))
    _note_narrowed(where, wanted, says, notes)
    note_beyond(policy, abis, says.calls, notes, refusals=says.refusals)
    if policy.default is not Action.PERMIT:
        reason = "every call that it has no say in is permitted"
        notes.add(None, Extent.NONE, TOO_MUCH_PERMITTED, reason)
    covers = tuple(notes.cover(rule) for rule in (*range(len(policy.rules)), None))
    return _narrowed(wanted, says), covers


_NOTHING_MADE = "proc"
_MADE = frozenset({Access.CREATE, Access.REMOVE})


def _with_what_cannot_be(root: Node) -> Node:
    """In a procfs no name can be made or removed anyway: that it may not be denies nothing else
    that has the same permission.
    """
    usual = Node(here=root.beneath, beneath=root.beneath)
    procfs = root.children.get(_NOTHING_MADE, usual)
    if Access.WRITE not in procfs.beneath or procfs.beneath >= _MADE:
        return root
    procfs = replace(procfs, beneath=procfs.beneath | _MADE)
    return replace(root, children={**root.children, _NOTHING_MADE: procfs})


def _told(kinds: frozenset[Access], says: Mediation) -> frozenset[Access]:
    """As much of `kinds` as can be permitted without permitting more."""
    if not says.together <= kinds:
        kinds -= says.together
    if says.reads_to_execute and Access.READ not in kinds:
        kinds -= {Access.EXECUTE}
    return kinds


def _narrowed(node: Node, says: Mediation) -> Node:
    return Node(
        here=_told(node.here, says),
        beneath=_told(node.beneath, says),
        children={name: _narrowed(child, says) for name, child in node.children.items()},
    )


def _note_narrowed(where: Reaches, tree: Node, says: Mediation, notes: Notes) -> None:
    """Note at the rules that permit what is denied with something else that it is."""
    for place, kinds in _places(tree):
        lost = kinds - _told(kinds, says)
        if not lost:
            continue
        reason = f"{', '.join(sorted(lost))} at {place.path} cannot be permitted by itself"
        for index in _permitting(where, lost, place):
            notes.add(index, Extent.PARTIAL, TOO_MUCH_DENIED, reason)


def _permitting(where: Reaches, kinds: Collection[Access], place: Place) -> Iterator[int | None]:
    for kind in sorted(kinds):
        for reach in where.of[kind]:
            yield reach.deciding(place).index


def _places(tree: Node) -> Iterator[tuple[Place, frozenset[Access]]]:
    for path, node in tree.walk():
        yield Place(path, Shape.EXACT), node.here
        yield Place(path, Shape.BENEATH), node.beneath

"""Kinds of access, as sandboxes tell them apart, and where a policy permits each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from enforcer.access.notes import Notes
from enforcer.access.places import Place, Shape
from enforcer.access.reach import Reach, Step, reach_of_use
from enforcer.access.uses import LINKS, OPENS, RENAMES, Use, uses
from enforcer.policy.ast import Policy
from enforcer.syscalls import ALIASES


class Access(StrEnum):
    """What may be done with a name.

    LOOK: metadata and directories on the way (stat, access, readlink). CHANGE: mode, owner, times,
    attributes. CREATE and REMOVE: names, by whichever call, renames and links included.
    """

    LOOK = "look"
    READ = "read"
    WRITE = "write"
    CREATE = "create"
    REMOVE = "remove"
    CHANGE = "change"
    EXECUTE = "execute"


_NODES = ("mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat")
_REMOVALS = ("unlink", "unlinkat", "rmdir")
_WRITTEN = (*OPENS, "creat", "truncate", "truncate64")
# By handle an object has no name, and a ring's calls have none of their own.
_ELSEWHERE = {"open_by_handle_at", "bind", *_NODES, *_REMOVALS, *_WRITTEN, *RENAMES, *LINKS}

USES: Mapping[Access, tuple[Use, ...]] = {
    Access.LOOK: uses(
        *sorted(ALIASES["fsread"] - {*OPENS, "open_by_handle_at", "uselib"}), alias="fsread"
    ),
    Access.READ: uses(*OPENS, alias="fsread"),
    Access.WRITE: uses(*_WRITTEN),
    Access.CREATE: (*uses(*_NODES), *uses(*RENAMES, *LINKS, slot=1)),
    Access.REMOVE: (*uses(*_REMOVALS), *uses(*RENAMES)),
    Access.CHANGE: uses(*sorted(ALIASES["fswrite"] - _ELSEWHERE)),
    Access.EXECUTE: uses("execve", "execveat", alias=""),
}
"""The calls that need each kind of access, and on which of their names."""


def calls_of(kinds: Iterable[Access]) -> frozenset[str]:
    """The calls that somebody who controls `kinds` has a say in."""
    return frozenset(use.call for kind in kinds for use in USES[kind])


@dataclass(frozen=True)
class Reaches:
    """Where a policy permits each kind of access: where all calls that need it are permitted."""

    of: Mapping[Access, tuple[Reach, ...]]

    def permitted(self, place: Place) -> frozenset[Access]:
        """The kinds that are permitted at a place."""
        return frozenset(
            kind
            for kind, reaches in self.of.items()
            if all(each.permits(place) for each in reaches)
        )

    def denying(self, kind: Access, place: Place) -> Iterable[Step]:
        """What of the policy denies a kind of access there."""
        deciding = (reach.deciding(place) for reach in self.of[kind])
        return dict.fromkeys(step for step in deciding if not step.permits)

    def paths(self) -> dict[str, Shape]:
        """Every path that the policy speaks of; EXACT where no more than that name is meant."""
        found: dict[str, Shape] = {"/": Shape.TREE}
        for reaches in self.of.values():
            for step in (step for reach in reaches for step in reach.steps):
                for place in step.region.places or ():
                    if found.get(place.path, Shape.EXACT) is Shape.EXACT:
                        found[place.path] = place.shape
        return found


def reaches(policy: Policy, notes: Notes, *, without: Collection[str] = ()) -> Reaches:
    """Follow every kind of access through the rules; `without` the calls that others deny."""
    return Reaches(
        {
            kind: tuple(
                dict.fromkeys(
                    reach_of_use(policy, use, notes) for use in of_it if use.call not in without
                )
            )
            for kind, of_it in USES.items()
        }
    )

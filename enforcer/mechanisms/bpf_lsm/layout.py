"""What our programs and whoever fills their maps agree on: keys, values and events, as bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from enforcer.access.kinds import Access

BITS = {kind: 1 << place for place, kind in enumerate(Access)}
ALL = (1 << len(BITS)) - 1
NAME_BYTES = 60
NAMES_TOLD, TOLD_BYTES = 4, 48
MARK = struct.Struct("=8I")
SETTINGS = struct.Struct("=Q14I")
KEY = struct.Struct(f"=I{NAME_BYTES}s")
EVENT = struct.Struct(f"=6I{NAMES_TOLD * TOLD_BYTES}s")
DEEPEST = 32
"""Levels of directories that are gone up; what lies deeper is refused."""


class Op(IntEnum):
    """What was refused."""

    OPEN = 1
    EXECUTE = 2
    LOOK = 3
    CHANGE = 4
    MAKE = 5
    REMOVE = 6
    RENAME = 7
    LINK = 8
    RECEIVE = 9
    MAP = 10


def bits(kinds: frozenset[Access]) -> int:
    """Kinds of access as the programs have them."""
    return sum(BITS[kind] for kind in kinds)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What is known of one object, or of one name in a marked directory.

    `is_node`: `here` and `beneath` decide; `spoken`: a rule speaks of it. `own` holds for the
    object under whatever name. `node` and `named` are numbers of names for the log; `directory`,
    not 0: what lies in it may have marks by name. `is_gate`: who executes it is confined.
    """

    is_node: bool = False
    spoken: bool = False
    is_gate: bool = False
    here: int = ALL
    beneath: int = ALL
    own: int = ALL
    node: int = 0
    named: int = 0
    directory: int = 0

    def packed(self) -> bytes:
        flags = self.is_node | self.spoken << 1 | self.is_gate << 2
        return MARK.pack(
            flags, self.here, self.beneath, self.own, self.node, self.named, self.directory, 0
        )


IS_NODE, SPOKEN, IS_GATE = 1, 2, 4
FLAGS, HERE, BENEATH, OWN, NODE, NAMED, DIRECTORY = range(0, 28, 4)
"""Where the fields of a mark lie."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Who is confined: the processes of a control group under a user id. `beneath` is what is
    permitted at names of which no mark is found. `mark`: what root looks at in the group gets it.
    `is_on` from the moment on that one of them executes the gate.
    """

    group: int = 0
    uid: int = 0
    beneath: int = ALL
    errno: int = 0
    mark: Mark | None = None
    is_on: bool = False

    def packed(self) -> bytes:
        mark = (self.mark or Mark()).packed()
        return SETTINGS.pack(
            self.group,
            self.uid,
            self.beneath,
            self.errno,
            self.mark is not None,
            *MARK.unpack(mark),
            *(self.is_on, 0),
        )


GROUP, UID, UNMARKED, ERRNO, MARKING, NEW_MARK, IS_ON = 0, 8, 12, 16, 20, 24, 56
"""Where the settings lie."""

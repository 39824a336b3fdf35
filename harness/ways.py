"""The ways in which one act can be made: what `ways:` in a manifest may list.

attacks/include/way.h carries them out; so one line of a manifest is a variant more, and no code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from enforcer.syscalls import number
from harness.wideners import Widener, widener_of

JOINT = "+"
"""Between a variant and the way that it goes, or its widener: `self+openat2`, `default+filter`."""


class Way(StrEnum):
    """By which call, by what kind of name, or after what an attack acts."""

    OPEN = "open"
    OPENAT2 = "openat2"
    CREAT = "creat"
    RELATIVE = "relative"
    DIRFD = "dirfd"
    WARM = "warm"
    LINK = "link"
    RENAME = "rename"
    RENAMEAT = "renameat"
    CHMOD = "chmod"
    FCHMODAT2 = "fchmodat2"
    EXECVEAT = "execveat"
    SENDTO = "sendto"
    SENDMSG = "sendmsg"
    SENDMMSG = "sendmmsg"


@dataclass(frozen=True, kw_only=True)
class Manner:
    """What a way means. `calls` maps the calls of a plain attack to those logged in their place.

    A way that is `another_call` is none where that call is not made or does not exist.
    """

    meaning: str
    calls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    another_call: bool = False


EXECVEAT = ("execveat", "execve")
"""Interpreters of scripts are judged as programs of execve, whichever call led to them."""


def _instead(plain: str, other: str) -> Manner:
    return Manner(
        meaning=f"{other} in the place of {plain}", calls={plain: (other,)}, another_call=True
    )


MANNERS: Mapping[Way, Manner] = {
    Way.OPEN: _instead("openat", "open"),
    Way.OPENAT2: _instead("openat", "openat2"),
    Way.CREAT: _instead("openat", "creat"),
    Way.RELATIVE: Manner(meaning="names relative to the current directory"),
    Way.DIRFD: Manner(
        meaning="names relative to a directory descriptor, that lead elsewhere from where one is",
        calls={"execve": EXECVEAT},
    ),
    Way.WARM: Manner(meaning="after many permitted acts of the same kind"),
    Way.LINK: _instead("linkat", "link"),
    Way.RENAME: _instead("renameat2", "rename"),
    Way.RENAMEAT: _instead("renameat2", "renameat"),
    Way.CHMOD: _instead("fchmodat", "chmod"),
    Way.FCHMODAT2: _instead("fchmodat", "fchmodat2"),
    Way.EXECVEAT: Manner(
        meaning="execveat in the place of execve", calls={"execve": EXECVEAT}, another_call=True
    ),
    Way.SENDTO: _instead("connect", "sendto"),
    Way.SENDMSG: _instead("connect", "sendmsg"),
    Way.SENDMMSG: _instead("connect", "sendmmsg"),
}


def parted(variant: str) -> tuple[str, Way | Widener | None]:
    """`self+openat2` as the variant and its way, or its widener; None for a plain one."""
    plain, _, way = variant.partition(JOINT)
    return plain, widener_of(variant) or (Way(way) if way else None)


def exists(way: Way | Widener, abi: str) -> bool:
    """Whether the ABI has the call that this way makes; wideners have none."""
    if isinstance(way, Widener):
        return True
    manner = MANNERS[way]
    return not manner.another_call or all(
        number(abi, call) is not None for calls in manner.calls.values() for call in calls
    )


def made(calls: Iterable[str], way: Way | Widener | None) -> frozenset[str]:
    """The calls of a plain attack as they are when it goes that way."""
    by = MANNERS[way].calls if isinstance(way, Way) else {}
    return frozenset(other for call in calls for other in by.get(call, (call,)))


def rank(attack: str, way: Way | Widener) -> bytes:
    """By this a quick run orders the ways of an attack: another attack has another order, and a
    way that is added leaves that of the others as it is.
    """
    return hashlib.sha256(f"{attack} {way}".encode()).digest()

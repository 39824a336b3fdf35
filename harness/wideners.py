"""What gives a race more time between an enforcer's look and the kernel's: `wideners:`.

attacks/include/widen.h carries them out, one-cpu the agent; so one line of a manifest is a variant
more, and no code. Standard library only: this also runs inside guests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Widener(StrEnum):
    """By what a race is given more time."""

    FILTER = "filter"
    USERFAULTFD = "userfaultfd"
    PAGEOUT = "pageout"
    FUSE = "fuse"
    ONE_CPU = "one-cpu"


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a widener is. `catalogue` is the class of failure that it shows; `feature` what the
    kernel must have for it. `in_memory`: only where the race is for an argument in memory that
    caller and other side have in common.
    """

    meaning: str
    catalogue: str = ""
    feature: str = ""
    in_memory: bool = False


WIDENERS: Mapping[Widener, Means] = {
    Widener.FILTER: Means(
        meaning="a long filter of the caller's own, which runs again behind a tracer's stop",
        catalogue="A12",
    ),
    Widener.USERFAULTFD: Means(
        meaning="the argument's page comes when a thread puts it there, and is taken away again",
        catalogue="A7",
        feature="userfaultfd",
        in_memory=True,
    ),
    Widener.PAGEOUT: Means(
        meaning="the argument's page is swapped out behind every turn",
        catalogue="A7",
        feature="pageout",
        in_memory=True,
    ),
    Widener.FUSE: Means(
        meaning="the argument's page is of a file that a child of the target's serves",
        catalogue="A7",
        feature="fuse",
        in_memory=True,
    ),
    Widener.ONE_CPU: Means(meaning="enforcer and target have one processor together"),
}


def widener_of(variant: str) -> Widener | None:
    """The widener of `default+filter`; None for a plain variant, and for one that goes a way."""
    _, _, word = variant.partition("+")
    return Widener(word) if word in list(Widener) else None


def on_one_cpu(variant: str, *, guest: bool, race: bool) -> bool:
    """Whether a run gets one CPU only. In a guest all do but races, which need two: under emulation
    each CPU is a thread of QEMU's, and what a process does on another one than before (wake, be
    woken, flush its translations) is paid with signals between the two.
    """
    return widener_of(variant) is Widener.ONE_CPU or (guest and not race)

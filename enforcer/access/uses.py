"""One name of one call: what is followed through a policy's rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """One name of one call: its `slot`-th file name; `alias` is the half of an open that is meant.

    Calls that are not divided have the alias that they belong to anyway, or none (execve).
    """

    call: str
    alias: str = "fswrite"
    slot: int = 0


def uses(*calls: str, alias: str = "fswrite", slot: int = 0) -> tuple[Use, ...]:
    """The same use of several calls."""
    return tuple(Use(call, alias, slot) for call in calls)


OPENS = ("open", "openat", "openat2")
RENAMES = ("rename", "renameat", "renameat2")
LINKS = ("link", "linkat")

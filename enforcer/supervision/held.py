"""A call that its task is held in, as far as both mechanisms see it alike."""

from __future__ import annotations

from typing import Protocol

from enforcer.pin import View, resolve
from enforcer.syscalls.arguments import Name, Walk
from enforcer.syscalls.memory import Arguments, Memory


class HeldCall(Memory, Protocol):
    """Who makes which call, and how its memory and its names are read.

    `args` are the registers narrowed as the ABI does; those of a multiplexed call are its own, and
    lie in memory. Names are walked as the task sees them, through `view`. Memory is read anew by
    every method: whoever needs a range twice keeps what was read.
    """

    @property
    def name(self) -> str: ...

    @property
    def abi(self) -> str: ...

    @property
    def args(self) -> Arguments: ...

    @property
    def tid(self) -> int: ...

    @property
    def view(self) -> View: ...


def walk_of(view: View) -> Walk:
    """How a task's names become the texts that rules see."""

    def walk(name: Name) -> tuple[str | None, bool]:
        dirfd, text, follow, entry, empty = name
        with resolve(view, dirfd, text, follow=follow, entry=entry, empty=empty) as pinned:
            return pinned.name, pinned.missing

    return walk

"""Texts of calls that are no names: what a link says, how an attribute or a file is called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

from enforcer.supervision.judge import Values
from enforcer.syscalls import syscall
from enforcer.syscalls.memory import Arguments, Memory, UnreadableMemory
from enforcer.syscalls.model import Argument, Kind

MOST_COPIED = 2
"""How many of a call's texts a slot has room for."""


@cache
def strings(call: str, abi: str | None = None) -> tuple[Argument, ...]:
    """The arguments of a call that are such texts."""
    return tuple(each for each in syscall(call, abi).arguments if each.kind is Kind.STRING)


def are_copied(call: str, needs: frozenset[str]) -> bool:
    """Whether all that rules look at in memory are texts that the kernel can be given a copy of."""
    found = strings(call)
    return (
        needs == {"string"}
        and len(found) <= MOST_COPIED
        and all(each.length is None for each in found)
    )


def read_once(
    memory: Memory, call: str, abi: str, args: Arguments
) -> tuple[Mapping[int, bytes], Values]:
    """The texts of a call by register, for whoever carries it out, and as rules see them.

    What cannot be read is missing in both: rules that look at it fail closed.
    """
    given: dict[int, bytes] = {}
    for argument in strings(call, abi):
        with suppress(UnreadableMemory):
            if argument.length is None:
                given[argument.index] = memory.read_string(args[argument.index])
    return given, {"string": tuple(map(os.fsdecode, given.values()))} if given else {}

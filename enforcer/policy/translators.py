"""Where the text comes from that a rule compares: a register, the target's memory, or the name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from enforcer.syscalls import syscall
from enforcer.syscalls.model import (
    LAYOUT_TRANSLATORS,
    REGISTER_KINDS,
    TRANSLATOR_OF,
    Argument,
    Kind,
    Syscall,
)

TRANSLATORS = frozenset({*TRANSLATOR_OF.values(), "uname", "call"})
"""Every translator that the language has."""


class Origin(StrEnum):
    """REGISTER: `argument` alone decides the text. MEMORY: the target's. NAME: the call's name."""

    REGISTER = "register"
    MEMORY = "memory"
    NAME = "name"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One text that rules for a call see; `argument` is None for the call's name."""

    translator: str
    origin: Origin
    argument: Argument | None = None


def known_syscall(name: str, abi: str | None = None) -> Syscall | None:
    """The model of a call; None for a name or ABI that is not in it."""
    try:
        return syscall(name, abi)
    except KeyError:
        return None


@cache
def sources(name: str, abi: str | None = None) -> tuple[Source, ...]:
    """All texts of a call, in argument order. Raises KeyError for an unknown call.

    A uid also has the user's name (`uname`). The address of a call that belongs to an alias by it
    (bind of a path socket) is also a file name, and so is the object of some descriptors (fchmod).
    """
    model = syscall(name, abi)
    found: list[Source] = []
    by_memory = any(membership.when is None for membership in model.aliases)
    for argument in model.arguments:
        translator = TRANSLATOR_OF.get(argument.kind)
        if translator is not None:
            origin = Origin.REGISTER if argument.kind in REGISTER_KINDS else Origin.MEMORY
            found.append(Source(translator=translator, origin=origin, argument=argument))
        if argument.kind is Kind.UID:
            found.append(Source(translator="uname", origin=Origin.REGISTER, argument=argument))
        if argument.named or (argument.kind is Kind.SOCKADDR and by_memory):
            found.append(Source(translator="filename", origin=Origin.MEMORY, argument=argument))
        found.extend(
            Source(translator=inside, origin=Origin.MEMORY, argument=argument)
            for inside in LAYOUT_TRANSLATORS.get(argument.layout, ())
        )
    found.append(Source(translator="call", origin=Origin.NAME))
    return tuple(found)


def source(name: str, translator: str, index: int = 0, abi: str | None = None) -> Source | None:
    """The `index`-th text of that translator; None where the call has none.

    The addresses of the many messages of one call (sendmmsg) share one source.
    """
    found = [each for each in sources(name, abi) if each.translator == translator]
    return found[index] if index < len(found) else None


def is_repeated(each: Source) -> bool:
    """Whether the source stands for any number of texts, each of which is judged by itself."""
    return each.argument is not None and each.argument.layout == "mmsghdr"

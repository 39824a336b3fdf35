"""Whether a call belongs to an alias where only the target's memory can tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from enforcer.policy.patterns import translate_ere
from enforcer.policy.translators import source
from enforcer.syscalls import names
from enforcer.syscalls.model import Kind

ALL = "all"
"""In YAML, strict: every call that has a name; what has none gets the default."""

MULTIPLEXERS = frozenset({"socketcall", "ipc"})
"""Judged as the calls that they stand for."""

ADDRESS_OF_NO_PATH = r"^([a-z0-9_]+-\[|@|$)"
"""What the text of an address matches that names no file (POSIX extended)."""

_NO_PATH = re.compile(translate_ere(ADDRESS_OF_NO_PATH))

Texts = Callable[[str, int], str | None]


def belongs_by_memory(name: str, alias: str, texts: Texts) -> bool | None:
    """Membership of openat2 (by its open_how) and of bind (by its address); None: unreadable.

    An address that has no text is no path if the empty file name was given with it. Opening is
    reading when the access mode is ro and nothing is created or cut, as for openat.
    """
    by_flags = source(name, "oflags") is not None
    text = texts("oflags" if by_flags else "sockaddr", 0)
    if text is None:
        return False if not by_flags and texts("filename", 0) == "" else None
    if not by_flags:
        return path_of_sockaddr(text) != ""
    return is_reading(text) == (alias == "fsread")


@cache
def every_call() -> tuple[str, ...]:
    """The calls that ALL stands for."""
    return tuple(sorted(names() - MULTIPLEXERS))


def is_reading(oflags: str) -> bool:
    """Whether open flags as text ask for reading alone."""
    return oflags.startswith("ro") and not set("ct") & set(oflags[2:])


def path_of_sockaddr(text: str) -> str:
    """The path of a path socket's address; empty for every other address."""
    return "" if _NO_PATH.match(text) else text


def is_path_of_address(name: str, translator: str) -> bool:
    """Whether the text is the path within an address (bind)."""
    found = source(name, translator)
    return (
        translator == "filename"
        and found is not None
        and found.argument is not None
        and found.argument.kind is Kind.SOCKADDR
    )

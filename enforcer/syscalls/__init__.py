"""Numbers and model of every system call of every supported ABI."""

from __future__ import annotations

from collections.abc import Mapping

from enforcer.syscalls.loader import aliases, remapped, remapping_calls, syscall, varies
from enforcer.syscalls.multiplex import SubCall, split
from enforcer.syscalls.numbers import name, names, number, table

__all__ = [
    "ALIASES",
    "SubCall",
    "name",
    "names",
    "number",
    "remapped",
    "remapping_calls",
    "split",
    "syscall",
    "table",
    "varies",
]

ALIASES: Mapping[str, frozenset[str]] = aliases()
"""Every alias (fsread, fswrite) with the calls that can belong to it, whatever their arguments."""

"""The kernel's constants that rules may name (TIOCSTI, O_CREAT, CLONE_NEWUSER...).

Read from constants.tsv, which was printed by a C program over the uapi headers of Linux 7.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from enforcer.arch import ABIS

_SOURCE = Path(__file__).with_name("constants.tsv")


@cache
def constants(abi: str) -> Mapping[str, int]:
    """Every constant with its value on `abi`; some names exist on some ABIs only."""
    found: dict[str, int] = {}
    for line in _SOURCE.read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        name, value, *others = line.split("\t")
        for other in others:
            place, _, there = other.partition("=")
            if place == abi:
                value = there
        if value != "-":
            found[name] = int(value, 0)
    return MappingProxyType(found)


CONSTANTS: Mapping[str, int] = constants("x86_64")
"""The values on x86 (x86_64, i386 and x32 agree), which most ABIs share: see `differing`."""


@cache
def differing(name: str) -> Mapping[str, int | None]:
    """The ABIs on which `name` has another value than in CONSTANTS (None: it has none there)."""
    common = CONSTANTS.get(name)
    return MappingProxyType(
        {abi: constants(abi).get(name) for abi in ABIS if constants(abi).get(name) != common}
    )

"""Architectures that have no record here, by the names that filters of others give them."""

from __future__ import annotations

from enforcer.arch import ABIS, arch
from enforcer.arch.record import Abi

OTHERS = frozenset(
    [
        "loongarch64",
        "m68k",
        "mips",
        "mips64",
        "mips64n32",
        "mipsel",
        "mipsel64",
        "mipsel64n32",
        "mips-le",
        "mips64-le",
        "mips64-n32",
        "mips64-le-n32",
        "mips64el",
        "parisc",
        "parisc64",
        "ppc",
        "ppc64",
        "s390",
        "sh",
        "sheb",
        "sparc",
        "sparc64",
    ]
)
"""Real ones, so that a file which names them is in order; nothing of them is judged here."""


def abi_named(name: str) -> Abi | None:
    """The ABI that others call so (`amd64`, `AARCH64`, `x86-64`, `x32`); None: one of OTHERS.

    Raises KeyError for a name of no architecture.
    """
    lower = name.lower()
    spelled = "ppc64le" if lower == "ppc64-le" else lower
    if spelled in ABIS:
        return ABIS[spelled]
    if spelled in OTHERS:
        return None
    return arch(spelled).native

"""kcmp(2): whether two tasks share something in the kernel."""

from __future__ import annotations

from enforcer.kernel.raw import INT, LONG, raw_call

_KCMP_VM = 1
_KCMP_FILES = 2
_KCMP_FS = 3
_kcmp = raw_call("kcmp", arguments=(INT, INT, INT, LONG, LONG))


def shares_memory(first: int, second: int) -> bool:
    """Whether two tasks have one address space; False where the kernel cannot tell."""
    return _kcmp(first, second, _KCMP_VM, 0, 0) == 0


def shares_descriptors(first: int, second: int) -> bool:
    """Whether two tasks have one table of descriptors; False where the kernel cannot tell."""
    return _kcmp(first, second, _KCMP_FILES, 0, 0) == 0


def has_own_umask(first: int, second: int) -> bool:
    """Whether two tasks share neither umask nor directories (CLONE_FS); False: they may."""
    return _kcmp(first, second, _KCMP_FS, 0, 0) > 0

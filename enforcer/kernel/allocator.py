"""The memory of malloc(3)."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
_libc = ctypes.CDLL(None)


def share_arena() -> None:
    """From here on threads allocate from one arena (mallopt(3), M_ARENA_MAX).

    glibc reserves 64 MiB of addresses for every thread's own (HEAP_MAX_SIZE in malloc/arena.c):
    where RLIMIT_AS is low, the stack of a further thread finds no room. musl has no arenas.
    """
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, 1)

"""Names within the scope of an openat2: what the kernel's walk for the supervisor does not tell.

RESOLVE_BENEATH, RESOLVE_IN_ROOT and RESOLVE_NO_XDEV are about how a name is walked, so the kernel
walks it. The task's `self` is another one, though, and no magic link nor missing name is followed.
"""

from __future__ import annotations

import os
from errno import ELOOP, ENOENT, ENOTDIR, EXDEV

from enforcer.kernel.file_status import on_procfs
from enforcer.kernel.openat2 import RESOLVE_NO_MAGICLINKS, openat2
from enforcer.kernel.paths import readlinkat
from enforcer.pin.pinned import Pinned
from enforcer.pin.resolution import lexically
from enforcer.pin.resolution import resolve as resolve_name
from enforcer.pin.view import O_PATH_DIRECTORY, View, names_in, release

NOTHING_THERE = frozenset({-ENOENT, -ENOTDIR})


def by_magic(base: int, walked: bytes, look: int, how: int) -> int:
    """-EXDEV where a magic link leads out of a scope, -ELOOP where it might not (nd_jump_link)."""
    fd = openat2(base, walked, look, 0, how & ~RESOLVE_NO_MAGICLINKS)
    release(fd)
    return -EXDEV if fd == -EXDEV else -ELOOP


def by_self(view: View, dirfd: int, walked: bytes, follow: bool) -> int:
    """What the task comes to by its own `self`, where that of its supervisor left no scope."""
    if b".." in walked.split(b"/"):
        return -ELOOP
    with resolve_name(view, dirfd, walked, follow=follow, magic=False) as pinned:
        return os.dup(pinned.fd) if pinned.exists else -(pinned.errno or ELOOP)


def nothing_there(view: View, base: int, walked: bytes, how: int) -> Pinned | bytes:
    """What the kernel would have to come to for `walked` to lead to something, within a scope.

    From its last directory that is there, or where that has a link to nothing, a name by which to
    go on. The name is empty where there is none, or a link that the scope does not follow is in
    between. Raises OSError as names_in.
    """
    head, rest = walked.rstrip(b"/"), b""
    slash = b"/" if len(head) < len(walked) else b""
    while head:
        head, _, leaf = head.rpartition(b"/")
        rest = leaf + b"/" + rest if rest else leaf
        start = head or (b"/" if walked[:1] == b"/" else b".")
        parent = openat2(base, start, O_PATH_DIRECTORY, 0, how)
        if parent >= 0:
            first, further, behind = rest.partition(b"/")
            text = readlinkat(parent, first)
            if isinstance(text, int) or on_procfs(parent):
                return _missing_from(view, parent, rest, slash)
            release(parent)
            before = b"" if text[:1] == b"/" or not head else head + b"/"
            return before + text + further + behind + slash
        if parent not in NOTHING_THERE:
            break
    return Pinned(name=b"", errno=ENOENT)


def _missing_from(view: View, parent: int, rest: bytes, slash: bytes) -> Pinned:
    """What `rest` would be in directory `parent` (consumed). Raises OSError."""
    try:
        names = names_in(view, parent).changed(lambda name: lexically(name, rest))
    except OSError:
        release(parent)
        raise
    missing = b"/" in rest
    return Pinned(name=names, parent=parent, leaf=rest + slash, missing=missing, errno=ENOENT)

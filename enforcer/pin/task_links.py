"""What links of procfs say of a task: its namespaces, its numbers, where its own links lead."""

from __future__ import annotations

import os

from enforcer.kernel import procfs
from enforcer.kernel.file_status import status
from enforcer.kernel.openat2 import openat2
from enforcer.kernel.paths import AT_EMPTY_PATH, readlinkat

_PLACE = os.O_PATH | os.O_CLOEXEC
_WITH_SETTINGS = ("ipc", "net", "user", "uts")


def setting_namespaces(tid: int) -> list[str]:
    """Those that settings under /proc/sys belong to."""
    return [namespace_of(tid, kind) for kind in _WITH_SETTINGS]


def namespace_of(tid: int, kind: str) -> str:
    """The namespace of a kind that a task is in; empty where that cannot be seen."""
    try:
        return os.readlink(f"{tid}/ns/{kind}", dir_fd=procfs.root())
    except OSError:
        return ""


def open_own(
    directory: int, leaf: bytes, tgid: int, tid: int, flags: int, resolve: int
) -> int | None:
    """See View.open_own."""
    above = openat2(directory, b"..", _PLACE, 0, 0)
    own = [openat2(procfs.root(), place, _PLACE, 0, 0) for place in _places_of(tgid, tid)]
    try:
        places = [status(fd, b"", AT_EMPTY_PATH) for fd in own if fd >= 0]
        known = {place.identity for place in places if not isinstance(place, int)}
        for fd in (directory, above):
            found = status(fd, b"", AT_EMPTY_PATH) if fd >= 0 else fd
            if not isinstance(found, int) and found.identity in known:
                return openat2(directory, leaf, flags, 0, resolve)
        return None
    finally:
        for fd in (above, *own):
            if fd >= 0:
                os.close(fd)


def own_text(directory: int, leaf: bytes, tgid: int, tid: int) -> bytes | int | None:
    """See View.own_text."""
    link = open_own(directory, leaf, tgid, tid, _PLACE | os.O_NOFOLLOW, 0)
    if link is None or link < 0:
        return link
    try:
        return readlinkat(link, b"")
    finally:
        os.close(link)


def _places_of(tgid: int, tid: int) -> tuple[bytes, bytes]:
    return b"%d" % tgid, b"%d/task/%d" % (tgid, tid)


def number_on(
    root: int, tid: int, processes: list[bytes], threads: list[bytes]
) -> tuple[int, int] | None:
    """See View.number_on: `processes` and `threads` are its numbers from the outermost in.

    A procfs of the namespace at one depth shows the task under the number of that depth, with the
    numbers from there on in NStgid. The last of them and the innermost namespace make it that task
    and no other: another one's init may have the same numbers.
    """
    namespace = namespace_of(tid, "pid")
    for depth, (process, thread) in enumerate(zip(processes, threads, strict=True)):
        try:
            fields = procfs.status_fields(procfs.read(int(process), "status", root))
            shown = os.readlink(f"{int(process)}/ns/pid", dir_fd=root)
        except OSError:
            continue
        if namespace and shown == namespace and fields[b"NStgid"].split() == processes[depth:]:
            return int(process), int(thread)
    return None

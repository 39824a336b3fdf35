"""Procfs, reached through a descriptor that was opened before any target ran.

/proc by name is whatever a target could mount there. And what a task can write is no record: its
name (comm) stands in status and stat, where it must never be taken for a field.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MOST = 1 << 16


@cache
def root() -> int:
    """A descriptor of the procfs at /proc when this was first called; it outlives forks."""
    return os.open("/proc", _PLACE)


@cache
def device() -> int:
    """The device of that procfs, as in st_dev."""
    return os.fstat(root()).st_dev


@cache
def descriptors() -> int:
    """A descriptor of its directory of this process's descriptors; a child has to open its own."""
    return os.open("self/fd", _PLACE, dir_fd=root())


os.register_at_fork(after_in_child=descriptors.cache_clear)


def path_of(descriptor: int) -> bytes:
    """A path by which the current thread reaches the object behind its own `descriptor`."""
    return b"%sthread-self/fd/%d" % (_way[-1], descriptor)


def work_from_root() -> None:
    """Make this procfs the working directory, for a process whose root has another /proc, or none.

    It stays so for `path_of`.
    """
    os.fchdir(root())
    _way.append(b"")


_way = [b"/proc/"]


def forget() -> None:
    """Open it anew at the next call: in a process that has closed what it inherited, or whose
    pid namespace has a procfs of its own.
    """
    root.cache_clear()
    device.cache_clear()
    descriptors.cache_clear()


def read(tid: int, name: str, directory: int = -1) -> bytes:
    """All of /proc/TID/NAME, at most 64 KiB. Raises OSError: ENOENT or ESRCH without that task.

    `directory` is the root of another procfs.
    """
    place = root() if directory < 0 else directory
    fd = os.open(f"{tid}/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=place)
    try:
        return os.read(fd, _MOST)
    finally:
        os.close(fd)


def processes() -> list[int]:
    """The numbers of all processes that it shows."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root())
    try:
        return [int(name) for name in os.listdir(fd) if name.isdigit()]  # noqa: PTH208 (a descriptor)
    finally:
        os.close(fd)


def status_fields(text: bytes) -> Mapping[bytes, bytes]:
    """The fields of /proc/TID/status behind the first line, values without white space around.

    The first line is the task's name, in which the kernel escapes line feeds and backslashes and
    nothing else (proc_task_name in fs/proc/array.c: ESCAPE_SPACE | ESCAPE_SPECIAL, but only of
    "\\n\\\\"). A carriage return stays, so whoever splits where Python's splitlines does, or looks
    for a key anywhere, lets a task write fields of its own:

        PR_SET_NAME "\\rUid:0 0 0 0"   ->   Name:\\t\\rUid:0 0 0 0\\nUmask:\\t0022\\n...
    """
    _, _, rest = text.partition(b"\n")
    fields = {}
    for line in rest.split(b"\n"):
        key, _, value = line.partition(b":")
        fields[key] = value.strip()
    return fields


def stat_fields(text: bytes) -> list[bytes]:
    """The fields of /proc/TID/stat behind the name, beginning with the state (field 3 of proc(5)).

    The name stands there as it is, line feeds and parentheses too, and all behind it are numbers
    but the state's letter: it ends at the last parenthesis.
    """
    return text[text.rindex(b")") + 1 :].split()

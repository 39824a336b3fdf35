"""The mounts of a namespace, from /proc/TID/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line: `root` is what of the file system is mounted, `point` where (from the reader's
    root), `device` its number as MAJOR:MINOR, `kind` its type, `source` what it was mounted from.
    """

    id: int
    device: bytes
    root: bytes
    point: bytes
    kind: bytes
    source: bytes


def parse(text: bytes) -> tuple[Mount, ...]:
    """All mounts, in the order in which they were made.

    No text in a line holds a space or a line feed: show_mountinfo (fs/proc_namespace.c) writes
    those, tabs, backslashes and `#` in octal. A line begins with five fields; the optional ones end
    at the only "-" that stands alone.
    """
    found = []
    for line in text.split(b"\n"):
        fields = line.split(b" ")
        if len(fields) < 10:
            continue
        kind, source = fields[fields.index(b"-", 6) + 1 :][:2]
        found.append(
            Mount(
                int(fields[0]),
                fields[2],
                *map(_unescaped, (fields[3], fields[4], kind, source)),
            )
        )
    return tuple(found)


def _unescaped(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 8),)), text)

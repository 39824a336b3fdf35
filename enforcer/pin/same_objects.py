"""Other names of denied objects: hard links, and binds where one file system is mounted twice.

Covers names that a rule denies by equality and that exist at the time of the call. A pattern's
objects cannot be listed: an alias of one of those is judged by its own name only.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

from enforcer.kernel.file_status import status
from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.paths import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW


class SameObjects:
    """Finds which of `names` (absolute, in the supervisor's view) an opened object is.

    `by_bind`: the sandbox has, or can get, one file system under two names, so that an object with
    a single link must be compared too.
    """

    def __init__(self, names: Iterable[str], *, by_bind: bool) -> None:
        self.names = {name: name.encode(errors="surrogateescape") for name in names}
        self.by_bind = by_bind

    def of(self, fd: int) -> tuple[str, ...]:
        """Those of the names that are the object behind `fd` just now."""
        facts = status(fd, b"", AT_EMPTY_PATH)
        if isinstance(facts, int):
            return tuple(self.names)
        if not self.by_bind and (facts.nlink < 2 or stat.S_ISDIR(facts.mode)):
            return ()
        found: list[str] = []
        for name, raw in self.names.items():
            other = status(AT_FDCWD, raw, AT_SYMLINK_NOFOLLOW)
            if not isinstance(other, int) and other.identity == facts.identity:
                found.append(name)
        return tuple(found)


def has_binds() -> bool:
    """Whether some file system is mounted under two names in the supervisor's mount namespace."""
    seen: set[str] = set()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123
        for line in mounts:
            device = line.split()[2]
            if device in seen:
                return True
            seen.add(device)
    return False

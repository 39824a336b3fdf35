"""Other names of denied objects: hard links, and binds where one file system is mounted twice.

Covers names that a rule denies by equality and that exist at the time of the call. A pattern's
objects cannot be listed: an alias of one of those is judged by its own name only.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

from enforcer.kernel.file_status import Status, status
from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.paths import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
from enforcer.pin.places import Places


class SameObjects:
    """Finds which of `names` (absolute, in the supervisor's view) an opened object is.

    By `places` it is known which of them some other mount shows, under another name, although they
    have a single link. Mounts of later are no matter: what is reached by those is judged by place.
    """

    def __init__(self, names: Iterable[str], places: Places) -> None:
        self.names = {name: name.encode(errors="surrogateescape") for name in names}
        self._bound = frozenset(
            name for name, raw in self.names.items() if places.is_shown_twice(raw)
        )

    def of(self, fd: int) -> tuple[str, ...]:
        """Those of the names that are the object behind `fd` just now."""
        facts = status(fd, b"", AT_EMPTY_PATH)
        if isinstance(facts, int):
            return tuple(self.names)
        names: Iterable[str] = self.names if _has_links(facts) else self._bound
        found: list[str] = []
        for name in names:
            other = status(AT_FDCWD, self.names[name], AT_SYMLINK_NOFOLLOW)
            if not isinstance(other, int) and other.identity == facts.identity:
                found.append(name)
        return tuple(found)

    def may_be_found(self) -> bool:
        """Whether any of the names has an object just now that may have another name too."""
        if self._bound:
            return True
        for raw in self.names.values():
            facts = status(AT_FDCWD, raw, AT_SYMLINK_NOFOLLOW)
            if not isinstance(facts, int) and _has_links(facts):
                return True
        return False


def _has_links(facts: Status) -> bool:
    return facts.nlink > 1 and not stat.S_ISDIR(facts.mode)

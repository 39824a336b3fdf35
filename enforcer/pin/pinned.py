"""What a name led to, held by descriptors."""

from __future__ import annotations

import os

from enforcer.pin.view import Names, release


class Pinned:
    """What a name leads to; owns its descriptors, which end with it at the latest.

    `fd` is an O_PATH descriptor of the object (the link itself where links are not followed), -1
    where there is none or none was asked for. `parent` and `leaf` are the directory and the entry
    in it, the leaf with its trailing slash; -1 and empty where the object was not reached through
    an entry (`/`, `.`, `..`, magic links, descriptors). `name` is what is to be judged, and so are
    `others`, if there are any; `seen` is the task's own name for it. `exists` says whether there is
    an object, `missing` that even its directory does not exist. `magic`: reached through a magic
    link or a descriptor, `unnamed`: by an empty name, so the latter. `errno`: why the walk ended, 0
    if it did not fail. `unplaced`: there is an object, and no name that rules could be asked about.
    """

    __slots__ = (
        "errno",
        "exists",
        "fd",
        "leaf",
        "magic",
        "missing",
        "name",
        "others",
        "parent",
        "seen",
        "unnamed",
        "unplaced",
    )

    def __init__(
        self,
        *,
        name: bytes | Names,
        fd: int = -1,
        parent: int = -1,
        leaf: bytes = b"",
        errno: int = 0,
        missing: bool = False,
        magic: bool = False,
        unnamed: bool = False,
        unplaced: bool = False,
    ) -> None:
        names = name if isinstance(name, Names) else Names((name,), name)
        self.name, *others = map(os.fsdecode, names.judged)
        self.others = tuple(others)
        self.seen = names.seen
        self.unplaced = unplaced
        self.fd = fd
        self.parent = parent
        self.leaf = leaf
        self.errno = errno
        self.exists = fd >= 0
        self.missing = missing
        self.magic = magic
        self.unnamed = unnamed

    def close(self) -> None:
        """Close the descriptors; harmless when repeated."""
        release(self.fd, self.parent)
        self.fd = self.parent = -1

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Pinned:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

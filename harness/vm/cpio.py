"""The initial root file system as the kernel reads it: a cpio archive in the "newc" form."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file (with content), a directory, or a character device (major, minor)."""

    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str) -> Entry:
    return Entry(name=name, mode=stat.S_IFDIR | 0o755)


def file(name: str, content: bytes, *, executable: bool = False) -> Entry:
    return Entry(name=name, mode=stat.S_IFREG | (0o755 if executable else 0o644), content=content)


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive, uncompressed, ended by its trailer (initramfs buffer format of the kernel)."""
    parts: list[bytes] = []
    trailer = Entry(name="TRAILER!!!", mode=0)
    for number, entry in enumerate((*entries, trailer), start=1):
        name = entry.name.encode() + b"\0"
        fields = (
            number,
            entry.mode,
            0,
            0,
            1,
            0,
            len(entry.content),
            0,
            0,
            *entry.device,
            len(name),
            0,
        )
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        for part in (head, entry.content):
            parts.append(part + b"\0" * (-len(part) % 4))
    return b"".join(parts)

"""Worlds: the small tree in which a program of calls runs, and what is seen of it afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ROOT = "/w"
"""How policies and programs of a case name the world's root."""


class Kind(StrEnum):
    """What an entry of a world is; `detail` is its content, its target or the other name."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"
    HARD = "hard"
    FIFO = "fifo"
    SOCKET = "socket"
    PROGRAM = "program"


@dataclass(frozen=True)
class Entry:
    """One object below the root; programs are copies of the actor's own."""

    path: str
    kind: Kind
    detail: str = ""


def make_world(root: Path, entries: tuple[Entry, ...], program: Path) -> None:
    """Make the root and its entries, in their order. Entries that meet another's name are left."""
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    for entry in entries:
        path = root / entry.path
        if not path.parent.is_dir() or path.is_symlink() or path.exists():
            continue
        match entry.kind:
            case Kind.DIRECTORY:
                path.mkdir(mode=0o755)
            case Kind.FILE:
                path.write_text(entry.detail)
                path.chmod(0o644)
            case Kind.LINK:
                path.symlink_to(_moved(entry.detail, root))
            case Kind.HARD:
                if (root / entry.detail).is_file() and not (root / entry.detail).is_symlink():
                    path.hardlink_to(root / entry.detail)
            case Kind.FIFO:
                os.mkfifo(path, 0o644)
            case Kind.SOCKET:
                _bind(path)
            case Kind.PROGRAM:
                shutil.copy(program, path)


def _bind(path: Path) -> None:
    """A path that a datagram socket was bound to; nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        here = Path.cwd()
        os.chdir(path.parent)
        bound.bind(path.name)
        os.chdir(here)


def _moved(text: str, root: Path) -> str:
    return str(root) + text.removeprefix(ROOT) if text.startswith(ROOT) else text


def seen(root: Path) -> dict[str, str]:
    """Every object by its path below the root: what it is, its mode, its names, its content."""
    found = {".": _described(root)}
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(directory, name)
            found[str(path.relative_to(root))] = _described(path)
    return found


def _described(path: Path) -> str:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    text = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if kind == stat.S_IFREG:
        text += f" links={status.st_nlink} size={status.st_size}"
        if status.st_size < 1 << 16:
            text += f" {path.read_bytes()!r}"
    if kind == stat.S_IFLNK:
        text += f" -> {path.readlink()}"
    return text

"""Removing what a target made: closed, nested without end, with links to elsewhere.

Standard library only: this also runs inside guests.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def remove(top: Path) -> None:
    """Remove an object, a directory with all that it holds; no link is followed.

    Directories are opened (mode 0700) before they are listed, and brought to the top before they
    are entered: neither depth nor the length of a path is bounded. Raises OSError.
    """
    try:
        found = top.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        top.unlink()
        return
    root = _open(top, None)
    try:
        names = (f"\1{number}" for number in itertools.count())
        while inside := _names(root):
            for name in inside:
                _flatten(root, name, names)
    finally:
        os.close(root)
    top.rmdir()


def _open(path: Path | str, where: int | None) -> int:
    """A directory, made ours to list. chmod(2) follows links: the mode is changed through the name
    of a descriptor that followed none.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    found = os.open(path, flags, dir_fd=where)
    try:
        Path(f"/proc/self/fd/{found}").chmod(0o700)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=found)
    finally:
        os.close(found)


def _flatten(root: int, name: str, names: Iterator[str]) -> None:
    """Remove one object in the directory `root`; the directories in it move beside it."""
    if not _is_directory(name, root):
        os.unlink(name, dir_fd=root)
        return
    directory = _open(name, root)
    try:
        for each in _names(directory):
            if _is_directory(each, directory):
                # A directory that moves has its `..` written.
                os.close(_open(each, directory))
                os.rename(each, _free(root, names), src_dir_fd=directory, dst_dir_fd=root)
            else:
                os.unlink(each, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=root)


def _free(root: int, names: Iterator[str]) -> str:
    """A name that nothing has in `root`."""
    taken = set(_names(root))
    return next(name for name in names if name not in taken)


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def _is_directory(name: str, where: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=where, follow_symlinks=False).st_mode)

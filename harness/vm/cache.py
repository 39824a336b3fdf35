"""The cache of images: what is there is whole; what is being made is locked, beside, unnamed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.directories import cache_directory

MIB = 1 << 20


class CacheFull(Exception):
    """The cache's disk has no room; the text holds the fix."""


def cache_root() -> Path:
    """Where images are kept, below the harness's cache directory; made when missing."""
    path = cache_directory() / "vm"
    path.mkdir(parents=True, exist_ok=True)
    return path


def need_room(path: Path, mib: int) -> None:
    """Raises CacheFull when the disk of `path` has fewer than `mib` MiB for us."""
    found = os.statvfs(path)
    free = found.f_bavail * found.f_frsize // MIB
    if free < mib:
        raise CacheFull(
            f"{cache_root()} has {free} MiB free, but {mib} MiB are needed: `harness vm prune` "
            "removes old snapshots, XDG_CACHE_HOME names another directory"
        )


def digest(*parts: bytes | str) -> str:
    """A short name for content: 16 hexadecimal digits of SHA-256."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:16]


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock that other processes respect; it is gone when its holder dies."""
    directory = cache_root() / "locks"
    directory.mkdir(exist_ok=True)
    with (directory / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_held: dict[Path, int] = {}  # locks of what this process uses, until it ends


def _use(path: Path) -> Path:
    directory = cache_root() / "locks"
    directory.mkdir(exist_ok=True)
    return directory / f"{path.parent.name}-{path.name}.use"


def hold(path: Path) -> None:
    """Keep `path` from `remove_unused` as long as this process lives."""
    name = _use(path)
    if name not in _held:
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_SH)
        _held[name] = lock


def remove_unused(path: Path) -> bool:
    """Remove a directory that no living process holds; whether it went."""
    with _use(path).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        shutil.rmtree(path, ignore_errors=True)
        return True


def made_once(path: Path, make: Callable[[Path], None]) -> Path:
    """`path`, a directory that `make(temporary)` fills if it is not there yet.

    It appears under its name only when `make` returned, so nobody ever sees half of it; leavings
    of makers that were killed are removed by the next one. This process holds it.
    """
    hold(path)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    with locked(path.name):
        if path.exists():
            return path
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            make(temporary)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return path


def _sweep(directory: Path) -> None:
    """Remove what makers began who are gone: nobody holds the lock of its name."""
    for leaving in directory.glob(".*"):
        name = leaving.name[1:].rpartition(".")[0]
        locks = cache_root() / "locks"
        locks.mkdir(exist_ok=True)
        with (locks / name).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(leaving, ignore_errors=True)

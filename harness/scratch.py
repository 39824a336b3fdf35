"""Temporary directories that are removed even after kill -9: by the next one to be made.

Each is locked by the process that uses it, so that the left ones are known.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.places.clearing import remove

PREFIX = "interposition-lab-"


class Scratch:
    """A directory of one's own until `close`, or until the process ends. Raises OSError."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        while True:
            # Somebody may sweep it between its birth and the lock.
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            try:
                self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if self.path.exists():
                return
            os.close(self._lock)

    def close(self) -> None:
        """Remove it with all that it holds."""
        with contextlib.suppress(OSError):
            remove(self.path)
        os.close(self._lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def _sweep(where: Path) -> None:
    """Remove our directories that nobody holds any more."""
    for path in left(where):
        with contextlib.suppress(OSError):
            remove(path)


def left(where: Path) -> Iterator[Path]:
    """Our directories that nobody holds any more; each is locked while it is looked at."""
    for path in sorted(where.glob(f"{PREFIX}*")):
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if os.fstat(lock).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
        except OSError:
            continue
        finally:
            os.close(lock)

"""Lines for a descriptor that may be full, blocked or gone: whoever writes never waits, nor fails.

A supervisor that waited for its log would hold up its targets, and one that failed by it would hold
up all of them. What finds no room is kept, up to a bound, and then counted.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress

MOST_BYTES = 1 << 20
"""What is kept of lines that could not be written yet."""

_PIPE_BUF = 4096
"""So much of a pipe that polls writable takes a write without waiting (pipe(7))."""

_AGAIN = os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC


class Outbox:
    """Whole lines, in their sequence. `tells_lost` makes the line that says how many are missing.

    A pipe or a terminal is opened anew: O_NONBLOCK belongs to the open file description, which
    others have too (fcntl(2)).
    """

    def __init__(self, fd: int, tells_lost: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._tells_lost = tells_lost
        self._kept = bytearray()
        self._lost = 0
        self.failure: str | None = None
        """Why the last line could not be written; None where it was, or only has no room yet."""
        self._lock = threading.Lock()
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        if not self._is_file:
            with suppress(OSError):
                self._fd = os.open(f"/proc/self/fd/{fd}", _AGAIN)

    @property
    def missing(self) -> int:
        """How many lines have not been written."""
        return self._lost + self._kept.count(b"\n")

    @property
    def is_overfull(self) -> bool:
        """Whether lines were lost for which there was no room, and nothing says so yet."""
        return self._lost > 0

    def put(self, line: bytes) -> None:
        """Write the line, or keep or count it."""
        with self._lock:
            if len(self._kept) + len(line) > MOST_BYTES:
                self._lost += 1
                self._flush()
                return
            if self._lost:
                self._kept += self._tells_lost(self._lost)
                self._lost = 0
            self._kept += line
            self._flush()

    def drain(self, seconds: float) -> None:
        """Write what is kept, waiting no longer than this."""
        end = time.monotonic() + seconds
        with self._lock:
            while self._flush() and (left := end - time.monotonic()) > 0 and not self._is_file:
                poller = select.poll()
                poller.register(self._fd, select.POLLOUT)
                if not poller.poll(1000 * left):
                    return

    def _flush(self) -> bool:
        """Whether something is left that may find room later."""
        kept = self._kept
        self.failure = None
        try:
            while kept:
                del kept[: self._write(kept)]
        except BlockingIOError:
            return True
        except OSError as error:  # full (ENOSPC, EFBIG) or gone (EPIPE): perhaps not for ever
            self.failure = error.strerror
            return False
        return False

    def _write(self, kept: bytearray) -> int:
        if self._is_file:
            return os.write(self._fd, kept)
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        if not poller.poll(0):
            raise BlockingIOError
        return os.write(self._fd, kept[:_PIPE_BUF])

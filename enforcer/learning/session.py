"""The life of a recording, as seen by whoever started it: read, save, and end in time."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from enforcer.learning.observation import Seen
from enforcer.learning.transcript import Transcript

Save = Callable[[bool], None]
"""Write what was seen up to now; True: the command has not ended by itself."""

_GRACE_S = 2.0
_CHUNK = 1 << 16
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_HANDLED = (*_ENDING, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """`status` is the command's exit status as a shell says it; `is_partial`: it was cut short."""

    status: int
    is_partial: bool


class Session:
    """One recording. `child` becomes the command, `reader` is the end of the recording's pipe."""

    def __init__(
        self,
        child: int,
        reader: int,
        save: Save,
        *,
        save_every_s: float | None = None,
        limit_s: float | None = None,
        under: str | None = None,
    ) -> None:
        """`under`: the binary whose policy all comes under, whatever program did it."""
        self._transcript = Transcript(under)
        self._child = child
        self._reader = reader
        self._save = save
        self._save_every_s = save_every_s
        now = time.monotonic()
        self._save_at = None if save_every_s is None else now + save_every_s
        self._end_at = None if limit_s is None else now + limit_s
        self._remind_at: float | None = None
        self._kill_at: float | None = None
        self._is_cut_short = False
        self._status: int | None = None

    @property
    def seen(self) -> Seen:
        """What was seen up to now."""
        return self._transcript.seen

    def run(self) -> Ending:
        """Return when the last task of the command has ended."""
        wakes, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(wakes, False)
        before = signal.set_wakeup_fd(wake)
        former = {number: signal.signal(number, lambda *_: None) for number in _HANDLED}
        try:
            self._read_all(wakes)
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in former.items():
                signal.signal(number, handler)
            os.close(wakes)
            os.close(wake)
        if self._status is None:
            _, self._status = os.waitpid(self._child, 0)
        code = os.waitstatus_to_exitcode(self._status)
        is_lost = self._transcript.supervisor > 0 and not self._transcript.has_ended
        is_partial = self._is_cut_short or code == -signal.SIGINT or is_lost
        return Ending(status=code if code >= 0 else 128 - code, is_partial=is_partial)

    def _read_all(self, wakes: int) -> None:
        poller = select.poll()
        poller.register(self._reader, select.POLLIN)
        poller.register(wakes, select.POLLIN)
        while True:
            ready = dict(poller.poll(self._wait_ms()))
            if wakes in ready:
                for number in os.read(wakes, 64):
                    self._signalled(number)
            if self._reader in ready:
                data = os.read(self._reader, _CHUNK)
                if not data:
                    return
                self._transcript.take(data)
            self._look_at_the_clock()

    def _wait_ms(self) -> int | None:
        times = [self._save_at, self._end_at, self._remind_at, self._kill_at]
        left = [at - time.monotonic() for at in times if at is not None]
        return None if not left else max(0, int(1000 * min(left)) + 1)

    def _signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            pid, status = os.waitpid(self._child, os.WNOHANG) if self._status is None else (0, 0)
            if pid:
                self._status = status
            return
        self._save(True)
        if number == signal.SIGINT:
            # A terminal has sent it to the command as well.
            self._remind_at = time.monotonic() + _GRACE_S / 2
        elif number in _ENDING:
            self._end()

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if self._save_at is not None and now >= self._save_at:
            assert self._save_every_s is not None
            self._save_at = now + self._save_every_s
            self._save(True)
        if self._remind_at is not None and now >= self._remind_at:
            self._remind_at = None
            self._signal(signal.SIGINT)
        if self._end_at is not None and now >= self._end_at:
            self._end_at = None
            self._save(True)
            self._end()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = now + _GRACE_S
            for pid in (*_descendants(self._child), self._child, self._transcript.supervisor):
                if pid:
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)

    def _end(self) -> None:
        self._is_cut_short = True
        self._kill_at = time.monotonic() + _GRACE_S
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self._status is None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self._child, number)


def _descendants(pid: int) -> Sequence[int]:
    """The children of a process, and theirs, as far as they can still be found."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [*_descendants(child), child]
    return found

"""A supervisor with a buffer of 256 bytes for names, of which the kernel takes 4096."""

from __future__ import annotations

import os

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from harness.backends.weak import Leaky

BUFFER = 256


class _CutsNames(Worker):
    given = b""

    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Remembers the name as it was given."""
        self.given = name
        return super().open(dirfd, name, flags, mode, resolve)

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """Judges what of a long name fits the buffer."""
        if len(self.given) >= BUFFER:
            names = (os.fsdecode(self.given[: BUFFER - 1]), *names[1:])
        return super().judge(names, missing)


class _Notify(Notify):
    make_worker = _CutsNames


BACKEND = Leaky(
    name="leaky-notify-short-buffer",
    weakness="judges the first 255 bytes of a name",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

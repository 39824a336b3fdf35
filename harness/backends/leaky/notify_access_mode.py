"""A supervisor for which a file is written only by who opened it for writing."""

from __future__ import annotations

import os

from enforcer.mechanisms.notify import MECHANISM
from enforcer.mechanisms.notify.worker import Worker
from harness.backends.forgetful import Forgetful
from harness.backends.weak import Leaky


class _LooksAtAccessMode(Worker):
    is_reading = False

    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Remembers what the file is opened for."""
        self.is_reading = flags & os.O_ACCMODE == os.O_RDONLY
        return super().open(dirfd, name, flags, mode, resolve)

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """Who opens for reading changes nothing."""
        return 0 if self.is_reading else super().judge(names, missing)

    def end_act(self) -> None:
        """The next call is another."""
        self.is_reading = False
        super().end_act()


class _AccessMode(Forgetful):
    make_worker = _LooksAtAccessMode
    forgotten = ("truncate", "truncate64")


BACKEND = Leaky(
    name="leaky-notify-access-mode",
    weakness="takes opening for writing for the only way to change a file's content",
    enforcer=_AccessMode(),
    repaired=MECHANISM,
)

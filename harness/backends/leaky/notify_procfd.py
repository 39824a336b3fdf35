"""A supervisor whose rules see /proc/self/fd/3 as a name in /proc, not as the object behind it."""

from __future__ import annotations

import os

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from harness.backends.weak import Leaky

MAGIC = (b"/proc/", b"/dev/fd/")


class _TakesNamesLiterally(Worker):
    given = b""

    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Remembers the name as it was given."""
        self.given = name
        return super().open(dirfd, name, flags, mode, resolve)

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """Judges a name in a directory of links by that name."""
        if self.given.startswith(MAGIC):
            names = (os.fsdecode(self.given), *names[1:])
        return super().judge(names, missing)


class _Notify(Notify):
    make_worker = _TakesNamesLiterally


BACKEND = Leaky(
    name="leaky-notify-procfd",
    weakness="judges /proc/self/fd/N by its text",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

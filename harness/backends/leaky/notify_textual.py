"""A supervisor that compares absolute names as they are written."""

from __future__ import annotations

import os

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from harness.backends.weak import Leaky


class _ComparesText(Worker):
    given = b""

    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Remembers the name as it was given."""
        self.given = name
        return super().open(dirfd, name, flags, mode, resolve)

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """Judges an absolute name by its text."""
        if self.given.startswith(b"/"):
            names = (os.fsdecode(self.given), *names[1:])
        return super().judge(names, missing)


class _Notify(Notify):
    make_worker = _ComparesText


BACKEND = Leaky(
    name="leaky-notify-textual",
    weakness="judges an absolute name as it is spelled",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

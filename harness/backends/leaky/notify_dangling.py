"""A supervisor that canonicalises names, and takes those as they are that lead to nothing yet."""

from __future__ import annotations

import os
from pathlib import Path

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from harness.backends.weak import Leaky


class _TakesNewNamesLiterally(Worker):
    given = b""

    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Remembers the name of what is about to be made."""
        self.given = name if flags & os.O_CREAT else b""
        return super().open(dirfd, name, flags, mode, resolve)

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """Judges a name that leads to nothing by its text."""
        given = os.fsdecode(self.given)
        if given.startswith("/") and not Path(given).exists():
            names = (given, *names[1:])
        return super().judge(names, missing)


class _Notify(Notify):
    make_worker = _TakesNewNamesLiterally


BACKEND = Leaky(
    name="leaky-notify-dangling",
    weakness="judges what does not exist yet by the name given, not by where a link leads",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

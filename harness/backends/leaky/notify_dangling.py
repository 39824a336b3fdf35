"""A supervisor that canonicalises names, and takes those as they are that lead to nothing yet."""

from __future__ import annotations

import os
from pathlib import Path

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.pin import resolve
from harness.backends.weak import Leaky


class _TakesNewNamesLiterally(Worker):
    given = ""

    def open(
        self, dirfd: int, name: bytes, flags: int, mode: int, resolve_flags: int | None
    ) -> int:
        """Remembers the name of what is about to be made, where no link was followed at its end."""
        self.given = ""
        if flags & os.O_CREAT:
            with resolve(self.view, dirfd, name, follow=False) as pinned:
                self.given = pinned.name
        return super().open(dirfd, name, flags, mode, resolve_flags)

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """Judges a name that leads to nothing by what was given."""
        if self.given and not Path(self.given).exists():
            names = (self.given, *names[1:])
        return super().judge(names, missing)


class _Notify(Notify):
    make_worker = _TakesNewNamesLiterally


BACKEND = Leaky(
    name="leaky-notify-dangling",
    weakness="judges what does not exist yet by the name given, not by where a link leads",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

"""A supervisor that answers O_PATH with a descriptor that can be read."""

from __future__ import annotations

import os

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.supervision.judge import Values
from harness.backends.weak import Leaky


class _GivesMore(Worker):
    is_place = False

    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Remembers that a place was judged: what stands in for it is no further act."""
        found = super().open(dirfd, name, flags, mode, resolve)
        self.is_place = found >= 0 and bool(flags & os.O_PATH)
        return found

    def decide(self, values: Values, missing: int = 0) -> int:
        """The policy's word, which is asked for once."""
        return 0 if self.is_place else super().decide(values, missing)

    def answer(self, result: int) -> None:
        """The next call is another."""
        self.is_place = False
        super().answer(result)


class _Notify(Notify):
    make_worker = _GivesMore


BACKEND = Leaky(
    name="leaky-notify-place",
    weakness="answers what was judged as a mere place with a descriptor for reading",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

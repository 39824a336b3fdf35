"""A supervisor that lets a call pass when it has no descriptor left to look with."""

from __future__ import annotations

import errno
import os

from enforcer.mechanisms.notify.worker import Worker
from harness.backends.unprotected import UnprotectedNotify
from harness.backends.weak import Leaky


class _Looks(Worker):
    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Looks at the task's root first, for which it needs a descriptor of its own."""
        try:
            os.close(os.open(f"/proc/{self.tid}/root", os.O_PATH))
        except OSError as error:
            return -(error.errno or errno.EIO)
        return super().open(dirfd, name, flags, mode, resolve)


class _GivesUp(_Looks):
    def answer(self, result: int) -> None:
        """Its own misfortune is not the target's."""
        if result == -errno.EMFILE:
            self.let_continue()
        else:
            super().answer(result)


class _Unprotected(UnprotectedNotify):
    """Nothing keeps the target from the supervisor's limits."""

    make_worker = _Looks


class _Notify(_Unprotected):
    make_worker = _GivesUp


BACKEND = Leaky(
    name="leaky-notify-no-descriptors",
    weakness="lets a call pass when it has no descriptor left to look with",
    enforcer=_Notify(),
    repaired=_Unprotected(),
)

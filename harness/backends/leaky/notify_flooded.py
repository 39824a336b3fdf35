"""A supervisor that lets through what it has no thread for (as the cap of nono PR 129)."""

from __future__ import annotations

from contextlib import suppress

from enforcer.kernel import notification
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.session import Session
from harness.backends.weak import Leaky


class _OpensTheGate(Session):
    def _relieve(self) -> None:
        """All threads have a call: the others must not wait."""
        if not self._is_waited_for():
            return
        with suppress(OSError):  # it is gone by now
            held = notification.receive(self.listener)
            notification.let_continue(self.listener, notification.NOTIFICATION.unpack(held)[0])


class _Notify(Notify):
    make_session = _OpensTheGate


BACKEND = Leaky(
    name="leaky-notify-flooded",
    weakness="lets every call through that comes while all of its threads have one",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

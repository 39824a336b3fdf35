"""A supervisor for which a file is what its name says, whatever other names it has."""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.session import Session
from enforcer.supervision.launch import Handshake
from harness.backends.weak import Leaky


class _ByName(Session):
    def serve(self, handshake: Handshake) -> None:
        """Without a look at device and inode of what is denied."""
        self.same_objects = None
        super().serve(handshake)


class _Notify(Notify):
    make_session = _ByName


BACKEND = Leaky(
    name="leaky-notify-names-only",
    weakness="compares no object with those that are denied, only its name",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

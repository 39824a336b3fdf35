"""A supervisor that takes the kernel's name of an object for one in its own mount namespace."""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.session import Session
from enforcer.pin.places import Places
from enforcer.supervision.launch import Handshake
from harness.backends.weak import Leaky


class _AllAreOurs(Places):
    def names(self, tid: int, fd: int, seen: bytes) -> tuple[bytes, ...]:
        """The kernel's name, whatever namespace it is from."""
        return (seen,)


class _Believing(Session):
    def serve(self, handshake: Handshake) -> None:
        """With no mounts but its own in mind."""
        self.places = _AllAreOurs()
        super().serve(handshake)


class _Notify(Notify):
    make_session = _Believing


BACKEND = Leaky(
    name="leaky-notify-mounts",
    weakness="judges what another mount namespace shows by the name that it has there",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

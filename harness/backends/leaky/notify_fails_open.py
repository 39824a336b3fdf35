"""A supervisor with a watchdog that lets everything through once the supervisor is dead."""

from __future__ import annotations

import os
import select
import socket

from enforcer.kernel import notification
from enforcer.mechanisms.notify import Notify
from enforcer.mechanisms.notify.session import Session
from enforcer.supervision.launch import Handshake
from harness.backends.weak import Leaky


class _Unprotected(Notify):
    """Nothing keeps the target's signals from the supervisor; its death fails closed."""

    protects = False


class _Watched(Session):
    def serve(self, handshake: Handshake) -> None:
        """Forks the watchdog before there are threads."""
        self._leash, other = socket.socketpair()
        if os.fork() == 0:
            self._leash.close()
            handshake.close()
            _watch_over(other)
            os._exit(0)
        other.close()
        super().serve(handshake)

    def _greet(self, number: int, is_synchronous: bool) -> None:
        super()._greet(number, is_synchronous)
        socket.send_fds(self._leash, [b"listener"], [self.listener])


def _watch_over(leash: socket.socket) -> None:
    """Wait for the supervisor's end, then answer in its place."""
    _, (listener, *_), _, _ = socket.recv_fds(leash, 64, 1)
    leash.recv(1)
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    while poller.poll()[0][1] == select.POLLIN:
        held = notification.receive(listener)
        notification.let_continue(listener, notification.NOTIFICATION.unpack(held)[0])


class _FailsOpen(_Unprotected):
    make_session = _Watched


BACKEND = Leaky(
    name="leaky-notify-fails-open",
    weakness="a watchdog lets every call continue once the supervisor is dead",
    enforcer=_FailsOpen(),
    repaired=_Unprotected(),
)

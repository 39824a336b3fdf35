"""A supervisor of TCP, as Landlock's rights of connections are (landlock-lsm/linux issue 54)."""

from __future__ import annotations

import os
import socket

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.supervision.judge import Values
from enforcer.syscalls.arguments import signed
from harness.backends.weak import Leaky


class _JudgesTcp(Worker):
    def decide(self, values: Values, missing: int = 0) -> int:
        """Addresses are the business of TCP sockets."""
        if self.name == "connect" and not self._is_tcp():
            return 0
        return super().decide(values, missing)

    def _is_tcp(self) -> bool:
        descriptor = self.duplicate(signed(self.args[0]))
        if descriptor < 0:
            return True
        with socket.socket(fileno=os.dup(descriptor)) as found:
            os.close(descriptor)
            return found.proto == socket.IPPROTO_TCP


class _Notify(Notify):
    make_worker = _JudgesTcp


BACKEND = Leaky(
    name="leaky-notify-tcp-only",
    weakness="judges the addresses of TCP sockets, not of others that reach a TCP listener",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

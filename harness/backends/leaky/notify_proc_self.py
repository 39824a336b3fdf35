"""A supervisor that opens names below /proc/self as they are: there they mean its own descriptors.

As delegates did that opened /dev/stdin or /proc/self for others (nono PR 129, agentsh PR 148).
"""

from __future__ import annotations

import os

from enforcer.mechanisms.notify import Notify
from enforcer.mechanisms.notify.session import Session
from enforcer.mechanisms.notify.worker import Worker
from enforcer.supervision.launch import Handshake
from harness.backends.handles import open_handles
from harness.backends.weak import Leaky

OWN = b"/proc/self/fd/"


class _KeepsHandles(Session):
    def serve(self, handshake: Handshake) -> None:
        """With what the policy denies open, to compare with it."""
        self.handles = open_handles(self.policy)
        super().serve(handshake)


class _OpensItself(Worker):
    def open(self, dirfd: int, name: bytes, flags: int, mode: int, resolve: int | None) -> int:
        """Nothing below /proc/self is denied, so that it can be opened at once."""
        if not name.startswith(OWN):
            return super().open(dirfd, name, flags, mode, resolve)
        try:
            return os.open(name, flags | os.O_CLOEXEC)
        except OSError as error:
            return -(error.errno or 1)


class _HasHandles(Notify):
    make_session = _KeepsHandles


class _Delegate(_HasHandles):
    make_worker = _OpensItself


BACKEND = Leaky(
    name="leaky-notify-proc-self",
    weakness="opens for the target what /proc/self/fd means to itself",
    enforcer=_Delegate(),
    repaired=_HasHandles(),
)

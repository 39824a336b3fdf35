"""A supervisor that lets a call go on whose name takes long to read (FUSE, userfaultfd)."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.pin import TargetGone
from enforcer.supervision import memory
from enforcer.syscalls.memory import PATH_MAX, UnreadableMemory
from harness.backends.weak import Leaky

PATIENCE_S = 0.1


class _Impatient(Worker):
    is_late = False

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes:
        """Reads in a thread that it does not wait for."""
        found: SimpleQueue[bytes | UnreadableMemory] = SimpleQueue()
        tid = self.tid

        def read() -> None:
            try:
                found.put(memory.read_string(tid, address, limit))
            except UnreadableMemory as error:
                found.put(error)

        threading.Thread(target=read, daemon=True).start()
        try:
            text = found.get(timeout=PATIENCE_S)
        except Empty:
            self.is_late = True
            raise TargetGone("it takes too long") from None
        if isinstance(text, UnreadableMemory):
            raise text
        return text

    def give_up(self) -> None:
        """Nobody may wait for a supervisor."""
        if self.is_late:
            self.is_late = False
            self.let_continue()
        else:
            super().give_up()


class _Notify(Notify):
    make_worker = _Impatient


BACKEND = Leaky(
    name="leaky-notify-impatient",
    weakness="lets through what it cannot read in time",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

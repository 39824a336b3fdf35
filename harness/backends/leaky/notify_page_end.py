"""A supervisor that reads names by whole chunks and lets a call pass whose name it cannot read."""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.syscalls.memory import PATH_MAX, UnreadableMemory
from harness.backends.weak import Leaky

CHUNK = 64


class _GivesUp(Worker):
    gave_up = False

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes:
        """Whole chunks only: the last of them may lie across the end of what is mapped."""
        text = b""
        while b"\0" not in text:
            try:
                text += self.read_bytes(address + len(text), CHUNK)
            except UnreadableMemory:
                self.gave_up = True
                raise
        return text[: text.index(b"\0")]

    def answer(self, result: int) -> None:
        """What cannot be read cannot be of interest."""
        if self.gave_up:
            self.gave_up = False
            self.let_continue()
        else:
            super().answer(result)


class _Notify(Notify):
    make_worker = _GivesUp


BACKEND = Leaky(
    name="leaky-notify-page-end",
    weakness="lets through what it cannot read, and cannot read up to a page's end",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

"""Whose turn it is to receive held calls: one thread's, until it blocks.

Threads that receive at once wake each other for every call and wait for the interpreter. So one
goes on receiving what it answers; when an act takes long, the turn passes to another thread.
"""

from __future__ import annotations

import threading


class Turn:
    """A turn that its holder keeps over many calls. Anyone may pass it on for a holder."""

    def __init__(self) -> None:
        self.holder: object | None = None
        self._free = threading.Lock()
        self._passing = threading.Lock()

    def take(self, taker: object) -> None:
        """Wait until the turn is free, and hold it."""
        self._free.acquire()
        self.holder = taker

    def pass_on(self, holder: object) -> None:
        """Free the turn, if it is still this holder's."""
        with self._passing:
            if self.holder is holder:
                self.holder = None
                self._free.release()

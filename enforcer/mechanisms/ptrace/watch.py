"""Ends a sandbox that stalls its tracer: memory that never comes (userfaultfd), FUSE names."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.tracer import Tracer

LIMIT_S = 3.0
"""The longest time that one stop may take."""


class Watch(threading.Thread):
    """Looks twice within the limit whether the tracer still handles the same stop."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(name="watch", daemon=True)
        self.tracer = tracer
        self.over = threading.Event()

    def run(self) -> None:
        tracer = self.tracer
        seen = -1
        looks = 0
        while not self.over.wait(LIMIT_S / 2):
            handled = tracer.handled
            looks = looks + 1 if handled == seen and not tracer.is_waiting else 0
            seen = handled
            if looks == 2:
                tracer.kill_all()
                tracer.detect("the tracer was stalled", seconds=LIMIT_S)
                return

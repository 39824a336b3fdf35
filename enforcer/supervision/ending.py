"""Whoever ends a supervisor ends its sandbox: no run outlives that, and no target goes on alone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""What tells a supervisor to end. A terminal's own go to its foreground group, where none is."""


def heed_no_other() -> None:
    """Whatever the launcher ignored or blocked, these are kept for `Ending`, and others come.

    Both are inherited: of nohup(1), a shell's `trap ''` or a service, nothing would end the run. A
    signal that is blocked stays pending also where it is ignored (sig_ignored in kernel/signal.c).
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ENDING)


class Ending(threading.Thread):
    """Waits for the first of ENDING; `act` says and does what is to be done before the end.

    In a thread of its own: others may be held up by what a target gave them to open or read, and
    Python runs handlers in the first thread alone, between two of its instructions.
    """

    def __init__(self) -> None:
        super().__init__(name="ending", daemon=True)
        self.act: Callable[[signal.Signals], None] = lambda number: None

    def run(self) -> None:
        number = signal.Signals(signal.sigwait(ENDING))
        try:
            self.act(number)
        finally:
            os._exit(128 + number)

"""Ends what stalls the tracer: the process of the task at hand, then all of the sandbox.

Memory may come from a file system of the target's (FUSE), and so may names; the tracer waits for
both where nothing but SIGKILL interrupts it. The end of who asked ends most such waits.
"""

from __future__ import annotations

import threading
from pathlib import Path

from enforcer.call import Action
from enforcer.mechanisms.ptrace.sandbox import Sandbox

LIMIT_S = 3.0
"""The longest time that one stop may take: its process ends, and after the same again all do."""


class Watch(threading.Thread):
    """Looks twice within the limit whether the tracer still handles the same stop.

    A tracer that could run, and only waits for a processor, is not being held up by its target.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(name="watch", daemon=True)
        self.sandbox = sandbox
        self.tid = threading.get_native_id()
        self.over = threading.Event()

    def run(self) -> None:
        sandbox = self.sandbox
        seen = -1
        looks = 0
        while not self.over.wait(LIMIT_S / 2):
            handled = sandbox.handled
            is_held = handled == seen and not sandbox.is_waiting and not _is_running(self.tid)
            looks = looks + 1 if is_held else 0
            seen = handled
            if looks == 2:
                self.tell(sandbox.at_hand)
                sandbox.kill(sandbox.at_hand)
            elif looks == 4:
                self.tell(0)
                sandbox.kill_all()
                return

    def tell(self, tid: int) -> None:
        """Log what is about to happen."""
        sandbox = self.sandbox
        who = {"tid": tid} if tid else {}
        sandbox.journal.detected(
            "the tracer was stalled",
            action=Action.KILL,
            call=sandbox.call,
            seconds=LIMIT_S,
            **who,
        )


def _is_running(tid: int) -> bool:
    """Whether a thread of ours is running or ready to."""
    text = Path(f"/proc/self/task/{tid}/stat").read_bytes()
    return text[text.rindex(b")") + 2 :].startswith(b"R")

"""A supervisor that looks for a key in the text of /proc/PID/status."""

from __future__ import annotations

from pathlib import Path

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from harness.backends.weak import Leaky


class _Searches(Worker):
    def effective_ids(self) -> tuple[int, int]:
        """By the first line of each key; carriage returns end lines, as they do for Python."""
        found: dict[str, str] = {}
        for line in Path(f"/proc/{self.tid}/status").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            found.setdefault(key, value)
        return int(found["Uid"].split()[1]), int(found["Gid"].split()[1])


class _Notify(Notify):
    make_worker = _Searches


BACKEND = Leaky(
    name="leaky-notify-status-text",
    weakness="searches /proc/PID/status, which has the task's name in it, for a line",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

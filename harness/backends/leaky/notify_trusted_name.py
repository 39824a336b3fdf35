"""A supervisor that exempts programs by their names, as rules of Falco's do (proc.name in dpkg...).

The name (PR_SET_NAME) is the program's own to choose.
"""

from __future__ import annotations

from pathlib import Path

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from harness.backends.weak import Leaky

TRUSTED = b"dpkg\n"


class _TrustsNames(Worker):
    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """Package managers may do what they like."""
        if Path(f"/proc/{self.tid}/comm").read_bytes() == TRUSTED:
            return 0
        return super().judge(names, missing)


class _Notify(Notify):
    make_worker = _TrustsNames


BACKEND = Leaky(
    name="leaky-notify-trusted-name",
    weakness="exempts whatever calls itself dpkg",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

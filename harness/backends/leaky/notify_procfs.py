"""A supervisor that takes procfs for the kernel's own, harmless to write to.

So did W^X everywhere before Linux let /proc/PID/mem be restricted (proc_mem.force_override, 6.12).
"""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from harness.backends.weak import Leaky


class _TrustsProcfs(Worker):
    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """Nobody keeps files there."""
        if all(name.startswith("/proc/") for name in names):
            return 0
        return super().judge(names, missing)


class _Notify(Notify):
    make_worker = _TrustsProcfs


BACKEND = Leaky(
    name="leaky-notify-procfs",
    weakness="permits whatever is done to names in /proc",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

"""A supervisor whose log is of the calls that one list has (audit's classes, before Linux 5.16)."""

from __future__ import annotations

from enforcer.call import Action, Decision
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from harness.backends.weak import Leaky

CLASS = frozenset({"open", "openat", "creat", "readlink", "readlinkat"})


class _ByClass(Worker):
    def report(self, decision: Decision) -> None:
        """Refusals, and of what is permitted the calls of the class."""
        if decision.action is not Action.PERMIT or self.name in CLASS:
            super().report(decision)


class _Notify(Notify):
    make_worker = _ByClass


BACKEND = Leaky(
    name="leaky-notify-class-log",
    weakness="logs what is permitted only of the calls that its list has",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

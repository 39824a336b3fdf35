"""A tracer that judges what is executed: a program that is only read is nobody's to run."""

from __future__ import annotations

from enforcer.events import EventLog
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.tracer import Tracer
from harness.backends.handlers import exchanged
from harness.backends.weak import Leaky

OPENS = ("open", "openat", "openat2")


class _Tracer(Tracer):
    def __init__(self, config: Config, log: EventLog) -> None:
        super().__init__(config, log)
        self.dispatch = exchanged(self.dispatch, dict.fromkeys(OPENS, self.let_through))
        self.sandbox.is_quick = False

    def let_through(self, call: HeldCall) -> None:
        """Reading is not executing."""
        self.sandbox.resume(call.task)


class _Ptrace(Ptrace):
    make_tracer = _Tracer


BACKEND = Leaky(
    name="leaky-ptrace-execute-only",
    weakness="judges what is executed, not what a loader or a shell reads to run it",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
)

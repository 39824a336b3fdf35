"""A tracer that knows execve and never heard of execveat."""

from __future__ import annotations

from enforcer.events import EventLog
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.tracer import Tracer
from harness.backends.handlers import exchanged
from harness.backends.weak import Leaky


class _Tracer(Tracer):
    def __init__(self, config: Config, log: EventLog) -> None:
        super().__init__(config, log)
        self.dispatch = exchanged(self.dispatch, {"execveat": self.let_through})

    def let_through(self, call: HeldCall) -> None:
        """What is not known is not asked about."""
        self.sandbox.resume(call.task)


class _Ptrace(Ptrace):
    make_tracer = _Tracer


BACKEND = Leaky(
    name="leaky-ptrace-execveat",
    weakness="judges execve, not execveat",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
)

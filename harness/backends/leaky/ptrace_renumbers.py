"""A tracer that turns calls into those that it knows, and waits to be asked about them again.

The filter is not asked twice: after a stop SECCOMP_RET_TRACE means that the call is made, whatever
its number is by then (ptrace(2), PTRACE_EVENT_SECCOMP).
"""

from __future__ import annotations

from enforcer.events import EventLog
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.syscalls import number
from enforcer.syscalls.arguments import read_open_how
from harness.backends.handlers import exchanged
from harness.backends.weak import Leaky


class _Renumbers(Tracer):
    def __init__(self, config: Config, log: EventLog) -> None:
        super().__init__(config, log)
        self.dispatch = exchanged(self.dispatch, {"openat2": self.as_openat})

    def as_openat(self, call: HeldCall) -> None:
        """openat2 is openat with more flags, and there are rules for openat."""
        flags, mode, _ = read_open_how(call, call.args[2], call.args[3])
        known = number(call.abi, "openat")
        assert known is not None
        arguments = (*call.args[:2], flags, mode)
        self.act.redirect(call, known, arguments, self.act.restore_after)


class _Ptrace(Ptrace):
    make_tracer = _Renumbers


BACKEND = Leaky(
    name="leaky-ptrace-renumbers",
    weakness="turns openat2 into openat, and takes it that the filter asks about that as well",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
)

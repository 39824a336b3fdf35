"""A tracer that judges the script which is executed, not the interpreter that it names."""

from __future__ import annotations

from enforcer.events import EventLog
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.calls.execs import Execs
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.pin import Pinned
from harness.backends.handlers import exchanged
from harness.backends.weak import Leaky


class _LooksAtScriptsOnly(Execs):
    def follow_scripts(
        self, call: HeldCall, pinned: Pinned, shown: bytes
    ) -> tuple[tuple[int, int] | None, list[bytes] | None, str]:
        """Whatever image it ends in is welcome."""
        return None, None, pinned.name


class _Tracer(Tracer):
    def __init__(self, config: Config, log: EventLog) -> None:
        super().__init__(config, log)
        execs = _LooksAtScriptsOnly(self.act)
        own = {"execve": execs.execve, "execveat": execs.execveat}
        self.dispatch = exchanged(self.dispatch, own)


class _Ptrace(Ptrace):
    make_tracer = _Tracer


BACKEND = Leaky(
    name="leaky-ptrace-interpreter",
    weakness="does not judge the interpreters of scripts",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
)

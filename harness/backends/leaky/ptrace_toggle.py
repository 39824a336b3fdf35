"""A tracer that takes every SIGTRAP for a stop at a call, entries and returns in turn.

What ptrace(2) warns of where PTRACE_O_TRACESYSGOOD is not set.
"""

from __future__ import annotations

import signal

from enforcer.events import EventLog
from enforcer.kernel import ptrace
from enforcer.mechanisms.contract import Options
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.tasks import Task
from harness.backends.plain import PlainPtrace, PlainTracer
from harness.backends.weak import Leaky

SIGTRAP_STOP = signal.SIGTRAP << 8 | 0x7F
GOOD = 0x80 << 8
"""The mark of PTRACE_O_TRACESYSGOOD, without which PTRACE_GET_SYSCALL_INFO tells nothing."""


class _CountsStops(PlainTracer):
    def __init__(self, config: Config, log: EventLog) -> None:
        super().__init__(config, log)
        self.within: set[int] = set()

    def handle(self, tid: int, status: int) -> None:
        """The mark of the stops of calls is not looked at."""
        task = self.tasks.get(tid)
        if task is not None and status & ~GOOD == SIGTRAP_STOP:
            self.at_syscall(task)
        else:
            super().handle(tid, status)

    def at_syscall(self, task: Task) -> None:
        """Every second stop of a task is an entry. Until its execve the launcher sets the pace."""
        if task.process.launching:
            is_entry = ptrace.syscall_info(task.tid)[0] == ptrace.OP_ENTRY
        else:
            is_entry = task.tid not in self.within
        (self.within.add if is_entry else self.within.discard)(task.tid)
        if is_entry or task.at_exit is not None:
            super().at_syscall(task)
        else:
            ptrace.resume_to_syscall(task.tid)


class _Ptrace(PlainPtrace):
    make_tracer = _CountsStops


BACKEND = Leaky(
    name="leaky-ptrace-toggle",
    weakness="tells calls from signals, and entries from returns, by counting SIGTRAPs",
    enforcer=_Ptrace(),
    repaired=PlainPtrace(),
    options=Options(defences=frozenset()),
)

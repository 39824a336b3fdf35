"""A tracer that reads the number register as it is, where the kernel takes an int of it.

It looks the whole word up in its table, and lets pass what is not there.
"""

from __future__ import annotations

import sys

from enforcer.events import EventLog
from enforcer.kernel import ptrace
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.mechanisms.ptrace.tracer import Tracer
from harness.backends.weak import Leaky


class _WholeWord(Tracer):
    def __init__(self, config: Config, log: EventLog) -> None:
        super().__init__(config, log)
        self.sandbox.is_quick = False

    def at_call(self, task: Task, info: SyscallInfo) -> None:
        """What the kernel says of the number is not asked."""
        registers = ptrace.registers(task.tid)
        layout = self.config.abis[info[1]].layout(len(registers))
        word = registers[layout.number : layout.number + layout.word]
        if int.from_bytes(word, sys.byteorder) == info[4] or task.process.launching:
            super().at_call(task, info)
        else:
            self.sandbox.resume(task)


class _Ptrace(Ptrace):
    make_tracer = _WholeWord


BACKEND = Leaky(
    name="leaky-ptrace-whole-number",
    weakness="takes the whole register for the number of a call, and passes what no table has",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
)

"""A tracer that reads the name for its log when the call returns (Falco before 0.31.1)."""

from __future__ import annotations

from enforcer.events import EventLog
from enforcer.kernel import ptrace
from enforcer.mechanisms.contract import Options
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.supervision.held import walk_of
from enforcer.syscalls.arguments import read_texts
from enforcer.syscalls.memory import ReadOnce
from harness.backends.handlers import exchanged
from harness.backends.weak import Leaky

READS = ("open", "openat", "openat2", "readlink", "readlinkat")


class _Tracer(Tracer):
    def __init__(self, config: Config, log: EventLog) -> None:
        super().__init__(config, log)
        self.dispatch = exchanged(self.dispatch, dict.fromkeys(READS, self.look_behind))

    def look_behind(self, call: HeldCall) -> None:
        """The call goes on as it is, and is logged by what it leaves in memory."""
        act = self.act

        def returned(task: Task) -> None:
            walk = walk_of(call.view)
            texts, missing = read_texts(ReadOnce(call), walk, call.name, call.abi, call.args)
            act.note(call, act.decide(call, texts, missing))
            act.restore(task, ptrace.syscall_info(task.tid))

        act.redirect(call, call.number, call.args, returned)


class _Ptrace(Ptrace):
    make_tracer = _Tracer


BACKEND = Leaky(
    name="leaky-ptrace-exit-log",
    weakness="logs the name that is in memory when the call returns",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
    options=Options(defences=frozenset()),
    repaired_options=Options(),
)

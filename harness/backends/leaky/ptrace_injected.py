"""A tracer that does not look at the calls that it has a task make."""

from __future__ import annotations

from enforcer.kernel import ptrace
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace, injected
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.mechanisms.ptrace.tracer import Tracer
from harness.backends.weak import Leaky


class _Tracer(Tracer):
    def at_seccomp(self, task: Task) -> None:
        """Whatever stops meanwhile is taken for what was injected."""
        if task.script is not None:
            ptrace.resume_to_syscall(task.tid)
        else:
            super().at_seccomp(task)

    def at_syscall(self, task: Task) -> None:
        """Only the end of a call is of interest."""
        if task.script is None:
            super().at_syscall(task)
            return
        info = ptrace.syscall_info(task.tid)
        if info[0] == ptrace.OP_EXIT:
            injected.advance(self.sandbox, task, info, ptrace.exit_result())
        else:
            ptrace.resume_to_syscall(task.tid)


class _Ptrace(Ptrace):
    make_tracer = _Tracer


BACKEND = Leaky(
    name="leaky-ptrace-injected",
    weakness="takes any call that a task makes meanwhile for the injected one",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
)

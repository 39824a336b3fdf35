"""A tracer that hands the kernel its own copy of a name, in the target's own stack (TORTTOU)."""

from __future__ import annotations

from collections.abc import Mapping

from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.contract import Defence, Options
from enforcer.mechanisms.ptrace import MECHANISM, Ptrace
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.supervision.memory import UnreadableMemory, write_bytes
from harness.backends.weak import Leaky

BELOW_RED_ZONE = 256
STACK_POINTER = 3
FIRST_ARGUMENT = 5


class _CopiesToStack(Tracer):
    def pass_copied(self, task: Task, info: SyscallInfo, names: Mapping[int, bytes]) -> None:
        """The copies lie below the stack pointer, where the target can write."""
        arguments = list(info[FIRST_ARGUMENT : FIRST_ARGUMENT + 6])
        place = info[STACK_POINTER] - BELOW_RED_ZONE
        try:
            for argument, name in names.items():
                place -= len(name) + 1
                write_bytes(task.tid, place, name + b"\0")
                arguments[argument] = place
        except UnreadableMemory as error:
            self.refuse(task, info, error.errno)
            return
        self.redirect(task, info, info[4], arguments, self.restore_after)


class _Ptrace(Ptrace):
    make_tracer = _CopiesToStack


BACKEND = Leaky(
    name="leaky-ptrace-stack-copy",
    weakness="keeps its copy of the name in memory that the target can write",
    enforcer=_Ptrace(),
    repaired=MECHANISM,
    options=Options(defences=frozenset({Defence.COPY})),
)

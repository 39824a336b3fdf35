"""Tasks on the short way back from a rewritten call (see trampoline.py), seen by the tracer."""

from __future__ import annotations

from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.private import AGAIN
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.slots import CODE_SIZE
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.mechanisms.ptrace.trampoline import WAYS


def own_call(sandbox: Sandbox, task: Task, info: SyscallInfo, away: SyscallInfo) -> SyscallInfo:
    """The call that a task means which may be on its way back from `away`."""
    task.away = None
    if not 0 <= info[2] - task.process.space.base < CODE_SIZE:
        return info
    sandbox.registers.call_as_before(task.tid, sandbox.config.abis[away[1]], away)
    if info[4] == AGAIN:
        task.retry += 1
        task.again = True
    return away


def bring_back(sandbox: Sandbox, task: Task, away: SyscallInfo) -> None:
    """A signal is about to show the task's registers: it must have its own."""
    task.away = None
    abi = sandbox.config.abis[away[1]]
    base = task.process.space.base
    sandbox.registers.bring_back(task.tid, abi, away, WAYS[abi.name], base)

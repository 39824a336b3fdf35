"""Faults of the first process of a pid namespace, which are not to be its tracer's for ever.

The kernel makes nothing but SIGKILL end such a process, except a fault that it has no handler for;
and it makes that exception for nobody who is traced (force_sig_info_to_task in kernel/signal.c:
SIGNAL_UNKILLABLE stays). So it would fault again and again:

    init: writes to address 0           tracer: stopped by SIGSEGV, passes it on
    get_signal: unkillable, so ignored
    init: writes to address 0           tracer: stopped by SIGSEGV...
"""

from __future__ import annotations

import os
import signal

from enforcer.kernel import procfs, ptrace
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.tasks import Task

FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}
)


def ends_init(task: Task, number: int) -> bool:
    """Whether signal `number`, which `task` is stopped by, is a fault that is to end an init."""
    if ptrace.signal_code(task.tid) <= 0:
        return False  # sent by somebody (si_fromuser): to be ignored
    fields = procfs.status_fields(task.view.status_text())
    numbers = fields[b"NStgid"].split()
    caught = int(fields[b"SigCgt"], 16) >> (number - 1) & 1
    return len(numbers) > 1 and numbers[-1] == b"1" and not caught


def end_init(sandbox: Sandbox, task: Task, number: int) -> None:
    """Let go of it, so that the fault, met again at once, ends it by that signal.

    Where anybody else could make the memory right meanwhile it is killed instead: a task without a
    tracer gets ENOSYS for all that is judged, but it is to be nobody's to run on.
    """
    others = (each for each in sandbox.tasks.values() if each is not task)
    if any(each.process.space is task.process.space for each in others):
        os.kill(task.tid, signal.SIGKILL)
        sandbox.resume(task)
        return
    ptrace.let_go(task.tid, number)
    del sandbox.tasks[task.tid]
    sandbox.forget(task)

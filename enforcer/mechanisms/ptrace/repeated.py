"""Calls made anew, where a kernel cannot change an argument of a held one (riscv64 before 6.16).

The held call is dropped; at its exit the task gets other registers and goes back to its system call
instruction. Whatever it enters the kernel with next must be that call, or its process ends: another
task may have written over the instruction. Signals wait, so that no handler runs in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.kernel import ptrace
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.private import NO_CALL
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.tasks import Anew, Task
from enforcer.syscalls import name

_ALL_SIGNALS = b"\xff" * 8
_WORD = (1 << 64) - 1
_RESTARTS = frozenset({-512, -513, -514, -516})
"""What the kernel tells itself: make the call again after the signal (include/linux/errno.h)."""


def begin(
    sandbox: Sandbox, task: Task, info: SyscallInfo, number: int, arguments: Sequence[int]
) -> None:
    """At a seccomp stop: drop the call; the task is to be resumed to its exit."""
    whole = tuple(argument & _WORD for argument in arguments)
    task.anew = Anew(number, whole, ptrace.signal_mask(task.tid))
    ptrace.set_signal_mask(task.tid, _ALL_SIGNALS)
    sandbox.registers.rewrite(task.tid, info, sandbox.abis[info[1]], NO_CALL, ())


def advance(sandbox: Sandbox, task: Task) -> None:
    """At a system call stop before the call is made: the dropped call's exit, or its own entry."""
    anew = task.anew
    assert anew is not None
    info = ptrace.syscall_info(task.tid)
    if info[0] == ptrace.OP_EXIT:
        abi = sandbox.abis[info[1]]
        sandbox.registers.call_again(task.tid, abi, task.saved, anew.number, anew.arguments)
    else:
        if info[4] != anew.number or info[5 : 5 + len(anew.arguments)] != anew.arguments:
            call = name(sandbox.abis[info[1]].name, info[4]) or str(info[4])
            reason = "another call than the one that was judged"
            sandbox.end(reason, task.process, tid=task.tid, call=call)
        ptrace.set_signal_mask(task.tid, anew.signals)
        task.anew = replace(anew, is_made=True)
    ptrace.resume_to_syscall(task.tid)


def was_interrupted(task: Task) -> bool:
    """At the call's exit, its result just read: whether it must be made again from the start."""
    task.anew = None
    return ptrace.exit_result() in _RESTARTS

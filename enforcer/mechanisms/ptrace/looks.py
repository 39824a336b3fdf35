"""The shortest way of calls on one name that the tracer does itself, at a glance (pin.glance).

What a glance cannot do, and whatever is not plainly permitted, goes to the general handler, which
starts anew. A result is given by renumbering the call to one that the filter answers itself, in one
request instead of two: the kernel asks it again after a tracer (__seccomp_filter with
recheck_after_trace). So the target may have no filter of its own, as in quick.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from enforcer.arch.record import Abi
from enforcer.kernel import ptrace
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.kernel.raw import NATIVE_ABI
from enforcer.mechanisms.ptrace import reading
from enforcer.mechanisms.ptrace.private import ANSWERS, ASKS, NO_CALL
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.slots import CODE_SIZE
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin.glance import GLANCES, Glance, glance
from enforcer.syscalls import number
from enforcer.syscalls.memory import UnreadableMemory

_ANSWERS = {result: ptrace.word(number) for result, number in ANSWERS.items()}
_NO_CALL = ptrace.word(NO_CALL)

QuickWay = Callable[[Task, SyscallInfo], bool]
"""Serves a call at its stop; False: nothing was done."""


def ways_of_looking(sandbox: Sandbox, abi: Abi) -> dict[int, QuickWay]:
    """The ways of the native ABI's calls, by number."""
    numbers = {} if abi.name != NATIVE_ABI else {name: number(abi.name, name) for name in GLANCES}
    return {
        nr: _Look(sandbox, abi, name, GLANCES[name]).serve
        for name, nr in numbers.items()
        if nr is not None
    }


class _Look:
    """The way of one call. `args`, `policy` and `is_refused` are those of the call at hand."""

    args: tuple[int, ...]
    policy: TaskPolicy
    is_refused: bool

    def __init__(self, sandbox: Sandbox, abi: Abi, name: str, how: Glance) -> None:
        self.sandbox = sandbox
        self.abi = abi
        self.name = name
        self.how = how
        self.place = how.name
        self.put_number = ptrace.poking(abi.layouts[0].number)
        self.put_result = ptrace.poking(abi.layouts[0].result)

    def serve(self, task: Task, info: SyscallInfo) -> bool:
        """At a seccomp stop: give the call its result. Raises TaskGone, TargetGone."""
        process = task.process
        is_returning = 0 <= info[2] - process.space.base < CODE_SIZE
        if info[11] != ASKS or process.launching or is_returning:
            return False
        policy, sandbox, name = process.policy, self.sandbox, self.name
        if name not in policy.looks:
            return False
        sandbox.call = name
        view = task.view
        view.fixed_root = True
        view.same_objects = policy.same_objects
        self.args = args = info[5:11]
        self.policy = policy
        self.is_refused = False
        try:
            text = reading.read_string(task, args[self.place])
        except UnreadableMemory:
            return False
        result = glance(self.how, view, args, text, self.refusal)
        if result is None or self.is_refused:
            return False
        sandbox.decisions += 1
        if task.again:
            task.again = False
        else:
            sandbox.judged[name] += 1
        self.answer(task.tid, result)
        return True

    def refusal(self, canonical: bytes) -> int:
        """The policy's word on the call with this name: 0, where it is plainly permitted."""
        policy, name = self.policy, self.name
        if canonical in policy.known[name]:
            return 0
        texts = {"filename": (os.fsdecode(canonical),)}
        decision = policy.decide(name, self.args, texts, 0, 0, 0, self.abi.name)
        policy.remember(name, canonical, decision)
        self.is_refused = not decision.is_plain
        return self.is_refused

    def answer(self, tid: int, result: int) -> None:
        """The call is not carried out; the task goes on with `result`."""
        answering = _ANSWERS.get(result)
        if answering is None:
            # A call that is not made leaves the result as it is (do_syscall_64): two registers are
            # written in less time than all are read and written back.
            self.put_result(tid, ptrace.word(result))
            answering = _NO_CALL
        self.put_number(tid, answering)
        ptrace.resume(tid)

"""New tasks: whose they are, and with which registers they begin."""

from __future__ import annotations

import os
from contextlib import suppress

from enforcer.kernel import ptrace
from enforcer.kernel.kcmp import has_own_umask, shares_memory
from enforcer.kernel.ptrace import TaskGone
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.tasks import Process, Space, Task
from enforcer.pin import TargetGone, View


def born(sandbox: Sandbox, parent: Task) -> None:
    """A fork, vfork or clone event: the child is traced, and stopped or soon will be."""
    tid = ptrace.event_message(parent.tid)
    if tid in sandbox.tasks:
        sandbox.resume(parent)
        return
    child = adopt(parent, tid)
    sandbox.tasks[tid] = child
    if parent.at_exit is not None and parent.saved:
        child.newborn = parent.saved
    if tid in sandbox.early:
        sandbox.early.discard(tid)
        with suppress(TaskGone):
            started(sandbox, child)
    sandbox.resume(parent)


def started(sandbox: Sandbox, task: Task) -> None:
    """The first stop of a new task, or another one by which nothing is asked."""
    if task.newborn is not None:
        give_registers(sandbox, task)
    sandbox.resume(task)


def adopt_orphans(sandbox: Sandbox, executed: int = 0) -> None:
    """Start the early children whose fork event was lost with the task that made them.

    That task was killed meanwhile, or another thread of its process `executed`. Where several
    policies are loaded, or a task has a Landlock domain, nobody can say which is the child's: it
    ends.
    """
    makers = {task.process.tgid for task in sandbox.tasks.values()} - {executed}
    for tid in tuple(sandbox.early):
        view = View(tid, tid)
        try:
            tgid, ppid = (int(view.status_field(key)) for key in (b"Tgid", b"PPid"))
        except TargetGone:
            continue
        if makers & {tgid, ppid}:
            continue
        sandbox.early.discard(tid)
        if len(sandbox.config.policies) > 1 or sandbox.has_domains:
            lost = Process(tid, Space(), sandbox.config.policies[0])
            sandbox.end("a child whose parent is gone", lost, tid=tid, call="")
            continue
        task = Task(tid, Process(tgid, Space(), sandbox.config.policies[0]))
        task.view.shares_umask = True  # nobody can tell
        sandbox.tasks[tid] = task
        with suppress(TaskGone):
            sandbox.resume(task)


def adopt(parent: Task, tid: int) -> Task:
    """The child as a task of its parent's process, or of a new one under the same policy."""
    process = parent.process
    if not _is_thread_of(tid, process.tgid):
        shared = shares_memory(parent.tid, tid)
        space = process.space if shared else Space(process.space.base)
        process = Process(tid, space, process.policy)
    task = Task(tid, process)
    task.view.domain = parent.view.domain
    if not has_own_umask(parent.tid, tid):
        parent.view.shares_umask = task.view.shares_umask = True
    return task


def give_registers(sandbox: Sandbox, child: Task) -> None:
    """A child begins with the registers of its parent's call, not with the rewritten ones."""
    saved, child.newborn = child.newborn, None
    assert saved is not None
    content = bytearray(ptrace.registers(child.tid))
    for abi in sandbox.abis.values():
        for layout in abi.layouts:
            if layout.size == len(content):
                for offset in layout.arguments:
                    place = slice(offset, offset + layout.word)
                    if layout.result != offset:
                        content[place] = saved[place]
    ptrace.set_registers(child.tid, content)


def _is_thread_of(tid: int, tgid: int) -> bool:
    return os.path.exists(f"/proc/{tgid}/task/{tid}")  # noqa: PTH110 (at every birth)

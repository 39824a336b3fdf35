"""New tasks: whose they are, and with which registers they begin."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from enforcer.kernel import ptrace
from enforcer.kernel.kcmp import shares_memory
from enforcer.kernel.ptrace import TaskGone
from enforcer.mechanisms.ptrace.tasks import Process, Space, Task
from enforcer.pin import TargetGone, View

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.tracer import Tracer


def born(tracer: Tracer, parent: Task) -> None:
    """A fork, vfork or clone event: the child is traced, and stopped or soon will be."""
    tid = ptrace.event_message(parent.tid)
    if tid in tracer.tasks:
        tracer.resume(parent)
        return
    child = adopt(parent, tid)
    tracer.tasks[tid] = child
    if parent.at_exit is not None and parent.saved:
        child.newborn = parent.saved
    if tid in tracer.early:
        tracer.early.discard(tid)
        with suppress(TaskGone):
            tracer.at_event(child, ptrace.EVENT_STOP, 0)
    tracer.resume(parent)


def adopt_orphans(tracer: Tracer, executed: int = 0) -> None:
    """Start the early children whose fork event was lost with the task that made them.

    That task was killed meanwhile, or another thread of its process `executed`. Where several
    policies are loaded, or a task has a Landlock domain, nobody can say which is the child's: it
    ends.
    """
    makers = {task.process.tgid for task in tracer.tasks.values()} - {executed}
    for tid in tuple(tracer.early):
        view = View(tid, tid)
        try:
            tgid, ppid = (int(view.status_field(key)) for key in (b"Tgid", b"PPid"))
        except TargetGone:
            continue
        if makers & {tgid, ppid}:
            continue
        tracer.early.discard(tid)
        if len(tracer.config.authorities) > 1 or tracer.has_domains:
            lost = Process(tid, Space(), tracer.config.authorities[0])
            tracer.end("a child whose parent is gone", lost, tid=tid, call="")
            continue
        task = Task(tid, Process(tgid, Space(), tracer.config.authorities[0]))
        tracer.tasks[tid] = task
        with suppress(TaskGone):
            tracer.resume(task)


def adopt(parent: Task, tid: int) -> Task:
    """The child as a task of its parent's process, or of a new one under the same policy."""
    process = parent.process
    if not _is_thread_of(tid, process.tgid):
        shared = shares_memory(parent.tid, tid)
        space = process.space if shared else Space(process.space.base)
        process = Process(tid, space, process.authority)
    task = Task(tid, process)
    task.view.domain = parent.view.domain
    return task


def give_registers(tracer: Tracer, child: Task) -> None:
    """A child begins with the registers of its parent's call, not with the rewritten ones."""
    saved, child.newborn = child.newborn, None
    assert saved is not None
    content = bytearray(ptrace.registers(child.tid))
    for abi in tracer.config.abis.values():
        for layout in abi.layouts:
            if layout.size == len(content):
                for offset in layout.arguments:
                    place = slice(offset, offset + layout.word)
                    if layout.result != offset:
                        content[place] = saved[place]
    ptrace.set_registers(child.tid, content)


def _is_thread_of(tid: int, tgid: int) -> bool:
    return Path(f"/proc/{tgid}/task/{tid}").exists()

"""What all parts of one tracer share: its tasks, its memory for arguments, its journal, its end."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from enforcer.call import Action
from enforcer.events import EventLog
from enforcer.kernel import ptrace
from enforcer.mechanisms.contract import Defence, MechanismName
from enforcer.mechanisms.ptrace.config import Config
from enforcer.mechanisms.ptrace.listener import Deliveries
from enforcer.mechanisms.ptrace.own_entries import OwnEntries
from enforcer.mechanisms.ptrace.registers import CallRegisters
from enforcer.mechanisms.ptrace.slots import Arena
from enforcer.mechanisms.ptrace.tasks import Process, Space, Task
from enforcer.mechanisms.ptrace.trampoline import WAYS
from enforcer.mechanisms.ptrace.waiting import Waiting
from enforcer.pin.places import Places
from enforcer.supervision.journal import Journal

_CODE = b"".join(way.code for way in WAYS.values())


class Sandbox:
    """One sandbox, from its first task to the end of its last.

    `early`: tasks that were seen before the event of their birth. `world_changed`: names may mean
    something else to a target than to the tracer; `credentials_changed`: rights may differ;
    `has_domains`: a task has a Landlock domain of its own.
    `judged` counts the held calls by name, `decisions` what was decided, `call` is the one at hand.
    `has_filter`: calls stop by a filter, not all of them. `traces_untraced`: CLONE_UNTRACED is
    taken from the target. `redo` takes up once more the call at which a task waits. `is_quick`: the
    quick way may be gone (quick.py). `handled` counts stops, `at_hand` is the task of the last,
    `is_waiting`: for the next one.
    """

    def __init__(
        self,
        config: Config,
        log: EventLog,
        *,
        has_filter: bool = True,
        traces_untraced: bool = True,
        redo: Callable[[Task], None] = lambda task: None,
    ) -> None:
        self.config = config
        self.abis = config.abis
        self.journal = Journal(log, MechanismName.PTRACE)
        self.tasks: dict[int, Task] = {}
        self.own_entries = OwnEntries(self.tasks.__contains__)
        self.early: set[int] = set()
        self.arena = Arena(_CODE)
        self.registers = CallRegisters()
        self.places = Places()
        for policy in config.policies:
            policy.watch_other_names(self.places)
        self.listener: Deliveries | None = None
        self.has_filter = has_filter
        self.traces_untraced = traces_untraced
        self.redo = redo
        self.is_quick = False
        self.is_waiting = True
        self.handled = 0
        self.at_hand = 0
        self.world_changed = False
        self.credentials_changed = False
        self.has_domains = False
        self.waiting = Waiting()
        self.decisions = 0
        self.judged: defaultdict[str, int] = defaultdict(int)
        self.call = ""
        self.copies = Defence.COPY in config.defences
        self.pins = Defence.PIN in config.defences
        self.verifies = Defence.VERIFY in config.defences

    def change_world(self) -> None:
        """From now on no name may be taken for what it was before, nor the quick way be gone."""
        self.world_changed = True
        self.is_quick = False
        for task in self.tasks.values():
            task.view.fixed_root = False

    def resume(self, task: Task, number: int = 0) -> None:
        """Let a task run on with signal `number`, to its call's exit if something waits for it."""
        if task.at_exit is not None or task.script is not None or not self.has_filter:
            ptrace.resume_to_syscall(task.tid, number)
        else:
            ptrace.resume(task.tid, number)

    def count(self, task: Task, name: str) -> None:
        """A call is held; one that the tracer itself sent round again was counted before."""
        self.call = name
        if task.again:
            task.again = False
        else:
            if task.granted or task.told:
                task.granted, task.told = [], []
            self.judged[name] += 1

    # ----- memory for arguments -----

    def release_slot(self, task: Task) -> None:
        """The kernel has read what was in the task's slot."""
        if task.slot is not None:
            self.arena.give(task.slot)
            task.slot = None
        if task.area is not None:
            self.arena.give_area(task.area)
            task.area = None

    def wake_waiters(self, space: Space) -> None:
        """Those who waited for the slots look again."""
        space.mapper = 0
        waiters, space.waiters = space.waiters, []
        for tid in waiters:
            task = self.tasks.get(tid)
            if task is not None:
                self.redo(task)

    def forget(self, task: Task) -> None:
        """Let go of what a task held."""
        process = task.process
        process.tasks.discard(task.tid)
        self.waiting.forget(task.tid)
        self.release_slot(task)
        if task.small is not None:
            self.arena.give_small(task.small)
            task.small = task.away = None
        if task.pinned is not None:
            task.pinned.close()
            task.pinned = None
        if task.script is not None:
            task.script.close()
            task.script = None
        task.at_exit = task.anew = None
        if self.listener is not None:
            self.listener.forget(task.tid)
        if process.space.mapper == task.tid:
            self.wake_waiters(process.space)

    # ----- ends -----

    def end(self, reason: str, process: Process | None = None, **fields: object) -> None:
        """End the sandbox, or one process of it, for an interference that is logged before.

        Without a better word the call is the one that the tracer was last concerned with.
        """
        try:
            self.journal.detected(reason, **{"action": Action.KILL, "call": self.call, **fields})
        finally:
            self.kill_all() if process is None else self.kill(process.tgid)

    def kill(self, tid: int) -> None:
        """End one process."""
        with suppress(ProcessLookupError):
            os.kill(tid, signal.SIGKILL)

    def kill_all(self) -> None:
        """End the sandbox."""
        for tid in (*self.tasks, *self.early):
            self.kill(tid)

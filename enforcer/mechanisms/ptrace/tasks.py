"""What the tracer knows of a task: only what cannot be asked from the kernel when it is needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass

from enforcer.call import Decision
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy
from enforcer.pin import KeptView, Pinned
from enforcer.supervision.judge import Values

Step = tuple[int, tuple[int, ...]]
"""Number and arguments of a call that the task is made to do; the result is sent back."""
Script = Generator[Step, int, int | None]
Continuation = Callable[["Task"], None]


@dataclass(frozen=True)
class Anew:
    """A call to be made anew, the signal mask to put back then, and whether it has been made."""

    number: int
    arguments: tuple[int, ...]
    signals: bytes
    is_made: bool = False


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What a permitted execve is expected to become; None: not looked at.

    `image` is the device and inode of the program in memory at the end (of a script's interpreter),
    `tail` its whole argument vector, a zero byte after each, `script` the descriptor by which an
    interpreter finds its script (/dev/fd/N), and the script's device and inode.
    """

    call: str
    name: str
    image: tuple[int, int] | None
    tail: bytes | None
    script: tuple[int, tuple[int, int]] | None
    policy: TaskPolicy | None


class Space:
    """An address space.

    `base` is where it maps the slots (0: nowhere known), `verified` that they are there for sure,
    `has_way` that the code beside them can be executed. `mapper` is the task that is just mapping
    them, `waiters` those that wait for it. `memory` is its open memory file.
    """

    __slots__ = ("base", "has_way", "mapper", "memory", "verified", "waiters")

    def __init__(self, base: int = 0) -> None:
        self.base = base
        self.verified = False
        self.memory = -1
        self.has_way = False
        self.mapper = 0
        self.waiters: list[int] = []

    def open_memory(self, tid: int) -> int:
        """/proc/TID/mem, which stays this space's whatever becomes of the task; -1 if gone."""
        if self.memory < 0:
            try:
                self.memory = os.open(f"/proc/{tid}/mem", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return -1
        return self.memory

    def __del__(self) -> None:
        if self.memory >= 0:
            os.close(self.memory)


class Process:
    """A thread group. `policy` is the one that its calls come under."""

    __slots__ = ("launching", "policy", "space", "tasks", "tgid")

    def __init__(self, tgid: int, space: Space, policy: TaskPolicy) -> None:
        self.tgid = tgid
        self.space = space
        self.policy = policy
        self.launching = False
        self.tasks: set[int] = set()


class Task:
    """One traced task.

    at_exit: continues a call that was let into the kernel in changed form, at its exit stop.
    saved: the registers of that call's entry.
    slot, area, small: what it holds of the arena; the small slot is kept.
    away: the call from which it may still be on its short way back.
    pinned: what the call is compared with at its exit.
    anew: the call that is made in place of one that could not be changed while it was held.
    script, signals: what it is being made to do, and the signal mask to put back after it.
    injected, injected_arch: the call that it is to make now for a script, and its ABI.
    newborn: the registers with which it is to start.
    retry: how often the call at hand found its name changed.
    again: the tracer made it go back before a call that was counted already.
    executing: a judged execve under way.
    told: decisions on the call at hand that were logged, with the texts that they were made by.
    granted: what a person answered to the call at hand, by name and texts.
    """

    __slots__ = (
        "_view",
        "again",
        "anew",
        "area",
        "at_exit",
        "away",
        "executing",
        "granted",
        "injected",
        "injected_arch",
        "newborn",
        "pinned",
        "process",
        "retry",
        "saved",
        "script",
        "signals",
        "slot",
        "small",
        "tid",
        "told",
    )

    def __init__(self, tid: int, process: Process) -> None:
        self.tid = tid
        self.process = process
        process.tasks.add(tid)
        self.at_exit: Continuation | None = None
        self.saved = b""
        self.slot: int | None = None
        self.area: int | None = None
        self.anew: Anew | None = None
        self.script: Script | None = None
        self.injected: Step | None = None
        self.injected_arch = 0
        self.signals: bytes | None = None
        self.retry = 0
        self.again = False
        self.small: int | None = None
        self.pinned: Pinned | None = None
        self.away: SyscallInfo | None = None
        self.newborn: bytes | None = None
        self.executing: Execution | None = None
        self.granted: list[tuple[str, Values, Decision]] = []
        self.told: list[tuple[Decision, Values]] = []
        self._view: KeptView | None = None

    @property
    def view(self) -> KeptView:
        """How this task sees names."""
        if self._view is None:
            self._view = KeptView(self.tid, self.process.tgid)
        return self._view

"""A call that a task is stopped at, as its handler sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from enforcer.call import Decision, Elevation
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace import reading
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import KeptView
from enforcer.supervision.judge import Values
from enforcer.syscalls.memory import PATH_MAX, Arguments

_NOTHING: Values = {}


class HeldCall:
    """One stop at one call; see enforcer.supervision.held for what is common to all of these.

    `info` is what the kernel said of the stop, as the ABI takes it. A multiplexed call has the
    name, number and arguments of the call meant. `decision` and `values` are those of the last
    decision on it. `elevation`: it is tried with other ids.
    """

    __slots__ = (
        "abi",
        "args",
        "decision",
        "elevation",
        "info",
        "is_multiplexed",
        "name",
        "number",
        "task",
        "values",
    )

    def __init__(
        self,
        task: Task,
        info: SyscallInfo,
        name: str,
        abi: str,
        *,
        args: Arguments | None = None,
        number: int = -1,
    ) -> None:
        self.task = task
        self.info = info
        self.name = name
        self.abi = abi
        self.is_multiplexed = args is not None
        self.args: Arguments = info[5:11] if args is None else args
        self.number = info[4] if args is None else number
        self.decision: Decision | None = None
        self.values: Values = _NOTHING
        self.elevation: Elevation | None = None

    @property
    def tid(self) -> int:
        return self.task.tid

    @property
    def view(self) -> KeptView:
        """How the task sees names."""
        return self.task.view

    @property
    def policy(self) -> TaskPolicy:
        """What it is judged by."""
        return self.task.process.policy

    @property
    def arch(self) -> int:
        """The ABI as the kernel names it (AUDIT_ARCH_*)."""
        return self.info[1]

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes:
        """The string at `address`, its NUL within `limit` bytes. Raises UnreadableMemory."""
        return reading.read_string(self.task, address, limit)

    def read_bytes(self, address: int, size: int) -> bytes:
        """Exactly `size` bytes at `address`. Raises UnreadableMemory."""
        return reading.read_bytes(self.task, address, size)


Handler = Callable[[HeldCall], None]


class Entry(NamedTuple):
    """One call of one ABI and who handles it."""

    name: str
    abi: str
    handler: Handler

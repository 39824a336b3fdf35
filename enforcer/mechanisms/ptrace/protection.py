"""Calls that may name the tracer by a descriptor or in memory: refused before the policy counts.

A target that wins the race for its descriptor table here ends its own sandbox: a dead tracer takes
every task with it, a stopped one holds them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from enforcer.condition import holds
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.opens import signed
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.supervision.memory import UnreadableMemory
from enforcer.supervision.protect import BY_DESCRIPTOR_OR_MEMORY, REFUSED, Protected

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.calls import Calls
    from enforcer.mechanisms.ptrace.dispatch import Entry, Handler
    from enforcer.mechanisms.ptrace.tracer import Tracer

_OWNER_BYTES = {"fcntl": 8, "fcntl64": 8, "ioctl": 4}


class Protection:
    """The handlers."""

    def __init__(self, tracer: Tracer, calls: Calls) -> None:
        self.tracer = tracer
        self.calls = calls
        self.protected = Protected([os.getpid()])

    def handlers(self) -> Mapping[str, Handler]:
        return {
            name: self.by_owner if name in _OWNER_BYTES else self.by_descriptor
            for name in BY_DESCRIPTOR_OR_MEMORY
        }

    def by_descriptor(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """pidfd_send_signal, pidfd_getfd: not at the tracer."""
        descriptor = task.view.duplicate(signed(info[5]))
        if descriptor < 0:
            self.tracer.refuse(task, info, -descriptor)
            return
        try:
            is_protected = self.protected.is_named_by_descriptor(descriptor)
        finally:
            os.close(descriptor)
        if is_protected:
            self.refuse(task, info, entry)
        else:
            self.calls.by_registers(task, info, entry)

    def by_owner(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """F_SETOWN_EX, FIOSETOWN, SIOCSPGRP: signals of a descriptor do not go to the tracer."""
        tracer = self.tracer
        if not holds(BY_DESCRIPTOR_OR_MEMORY[entry.name], info[5:11]):
            self.calls.by_registers(task, info, entry)
            return
        try:
            owner = tracer.read_bytes(task, info[7], _OWNER_BYTES[entry.name])
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        if self.protected.is_named_by_owner(owner):
            self.refuse(task, info, entry)
            return
        decision = tracer.decide(task, entry.name, info[5:11], {}, entry.abi)
        if not tracer.settle(task, info, entry.name, decision, {}):
            return
        slot = tracer.take_slot(task, info)
        if slot is None:
            return
        tracer.arena.write(slot, owner)
        place = task.process.space.base + slot
        arguments = (info[5], info[6], place, *info[8:11])
        tracer.redirect(task, info, info[4], arguments, tracer.restore_after)

    def refuse(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """The tracer was aimed at."""
        self.tracer.detect("a call aimed at the tracer", tid=task.tid, call=entry.name)
        self.tracer.refuse(task, info, REFUSED)

"""Calls that may name the tracer by a descriptor or in memory: refused before the policy counts.

A target that wins the race for its descriptor table here ends its own sandbox: a dead tracer takes
every task with it, a stopped one holds them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from errno import EBADF

from enforcer.condition import holds
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.general import General
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.supervision.aimed import Protected
from enforcer.supervision.journal import UNREADABLE
from enforcer.supervision.protect import AIMED, BY_DESCRIPTOR_OR_MEMORY, NAMING_CALLS, REFUSED
from enforcer.syscalls.arguments import LOW_HALF, signed
from enforcer.syscalls.memory import UnreadableMemory

_OWNER_BYTES = {"fcntl": 8, "fcntl64": 8, "ioctl": 4}


class Protection:
    """The handlers."""

    def __init__(self, act: Act, general: General, then: Mapping[str, Handler]) -> None:
        """`then` are the handlers of what is not aimed at the tracer, where not the general one."""
        self.act = act
        self.general = general
        self.then = then
        # The tracer reaps its tasks itself: until then their numbers are nobody else's.
        protected = [os.getpid(), *act.sandbox.config.own]
        self.protected = Protected(protected, act.sandbox.tasks.__contains__)

    def handlers(self) -> Mapping[str, Handler]:
        return {
            **dict.fromkeys(NAMING_CALLS, self.by_number),
            **dict.fromkeys(BY_DESCRIPTOR_OR_MEMORY, self.by_descriptor),
            **dict.fromkeys(_OWNER_BYTES, self.by_owner),
        }

    def by_number(self, call: HeldCall) -> None:
        """kill and its like: not at the tracer."""
        refusal = self.protected.refusal(call.name, call.args, call.tid)
        if refusal == REFUSED:
            self.act.refuse(call, REFUSED, AIMED)
        elif refusal:
            self.act.fail(call, refusal)
        else:
            self.pass_on(call)

    def by_descriptor(self, call: HeldCall) -> None:
        """pidfd_send_signal, pidfd_getfd and the like: not at the tracer."""
        if signed(call.args[0]) < 0:  # PIDFD_SELF names the caller
            self.pass_on(call)
            return
        descriptor = call.view.duplicate(signed(call.args[0]))
        if descriptor == -EBADF:  # the kernel says so in its own order, of one that nobody has
            if self.act.permits(call):
                nowhere = (LOW_HALF, *call.args[1:])
                self.act.redirect(call, call.number, nowhere, self.act.restore_after)
            return
        if descriptor < 0:
            if self.act.permits(call):
                self.act.fail(call, -descriptor)
            return
        try:
            is_protected = self.protected.is_named_by_descriptor(descriptor)
        finally:
            os.close(descriptor)
        if is_protected:
            self.act.refuse(call, REFUSED, AIMED)
        else:
            self.pass_on(call)

    def pass_on(self, call: HeldCall) -> None:
        """It is not aimed at the tracer."""
        self.then.get(call.name, self.general.by_registers)(call)

    def by_owner(self, call: HeldCall) -> None:
        """F_SETOWN_EX, FIOSETOWN, SIOCSPGRP: signals of a descriptor do not go to the tracer."""
        act = self.act
        if not holds(BY_DESCRIPTOR_OR_MEMORY[call.name], call.args):
            self.by_number(call)
            return
        try:
            owner = call.read_bytes(call.args[2], _OWNER_BYTES[call.name])
        except UnreadableMemory as error:
            act.refuse(call, error.errno, UNREADABLE)
            return
        if self.protected.is_named_by_owner(owner):
            act.refuse(call, REFUSED, AIMED)
        elif act.permits(call):
            act.pass_changed(call, {2: owner})

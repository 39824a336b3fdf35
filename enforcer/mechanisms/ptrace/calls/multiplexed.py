"""socketcall and ipc: the call meant, with its arguments read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from errno import EPERM

from enforcer.arch.record import Abi
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.supervision.journal import UNREADABLE
from enforcer.syscalls import number, split
from enforcer.syscalls.memory import UnreadableMemory
from enforcer.syscalls.multiplex import UNKNOWN, read_arguments

_STAND_INS = {"accept": "accept4", "semop": "semtimedop"}
"""Calls that some ABIs have only here, and what does the same when its last argument is zero."""


class Multiplexed:
    """The handlers. `handler_of` gives that of a call by its name."""

    def __init__(self, act: Act, handler_of: Callable[[str], Handler]) -> None:
        self.act = act
        self.handler_of = handler_of

    def handlers(self) -> Mapping[str, Handler]:
        return {"socketcall": self.split, "ipc": self.split}

    def split(self, call: HeldCall) -> None:
        """Judge and carry out the call meant.

        Where the ABI has it as a call of its own, that is made in place of the multiplexer, whose
        arguments lie in memory. Where it has not, those in registers hold.
        """
        act = self.act
        meant = split(call.abi, call.info[4], call.args)
        if meant is None:
            act.fail(call, UNKNOWN[call.name])
            return
        abi = act.abis[call.arch]
        try:
            args = read_arguments(call, abi, meant)
        except UnreadableMemory as error:
            act.refuse(call, error.errno, UNREADABLE)
            return
        act.sandbox.judged[meant.name] += 1
        direct = _direct(abi, meant.name)
        nr = call.number if direct is None else direct
        own = HeldCall(call.task, call.info, meant.name, call.abi, args=args, number=nr)
        own.is_multiplexed = direct is not None
        if direct is None and meant.args is None:
            act.refuse(own, EPERM, "its arguments lie in memory, and no other call does the same")
        else:
            self.handler_of(meant.name)(own)


def _direct(abi: Abi, name: str) -> int | None:
    found = number(abi.name, name)
    return number(abi.name, _STAND_INS.get(name, name)) if found is None else found

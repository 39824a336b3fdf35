"""Filters of the target's own: installed with a few instructions before them.

A target's filter also sees what the tracer makes of a call, and most would kill for an openat2 that
their author never heard of. So the program is copied, and lets the tracer's own numbers and calls
into the slots pass to the tracer's filter, which alone decides on them. For all else it is what the
target wrote. A listener of its own it cannot have (see filter.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EBUSY, EFAULT, EINVAL, EPERM
from struct import Struct

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW
from enforcer.condition import LOW_HALF, All, Any, Compare, Operator, holds
from enforcer.kernel.seccomp import are_flags_right
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.general import General
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.mechanisms.ptrace.private import AGAIN, DELIVER
from enforcer.mechanisms.ptrace.slots import SPAN
from enforcer.syscalls import number
from enforcer.syscalls.memory import UnreadableMemory

_INSTRUCTION = Struct("=HBBI")
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_MOST = 4096
_SET_MODE_FILTER = 1
LISTENS = 1 << 3
"""SECCOMP_FILTER_FLAG_NEW_LISTENER"""
_PR_SET_SECCOMP = 22
_PR_SET_MM, _PR_SET_MM_START_BRK, _PR_SET_MM_BRK, _PR_SET_MM_MAP = 35, 6, 7, 14
MOVES_BREAK = All(
    (
        Compare(0, Operator.EQ, _PR_SET_MM, LOW_HALF),
        Any(
            tuple(
                Compare(1, Operator.EQ, what, LOW_HALF)
                for what in (_PR_SET_MM_START_BRK, _PR_SET_MM_BRK, _PR_SET_MM_MAP)
            )
        ),
    )
)
"""prctl(PR_SET_MM, ...) that says where the heap ends: brk(2) unmaps what lies below that."""
_MODE_FILTER = 2
_PROGRAMS = {8: Struct("=H6xQ"), 4: Struct("=HxxI")}
_INTO_SLOTS = (("openat2", 1), ("mmap", 0), ("mmap2", 0), ("mprotect", 0), ("mseal", 0))
"""Calls that the tracer makes a task do, with the argument that then points into the slots."""


def passage(abi: Abi, base: int) -> bytes:
    """Instructions that permit the tracer's own calls of `abi` and go on behind them otherwise.

    Those point into the slots, which are at `base` in this address space, and at the ABI's own
    place in most of those that executions make of it.
    """
    high, low = (0, 4) if abi.big_endian else (4, 0)
    # A range within one 4 GiB is told by one comparison of the upper half.
    is_elsewhere = base != abi.spare_address and base >> 32 == (base + SPAN) >> 32
    places = [abi.spare_address, *([base] if is_elsewhere else [])]
    blocks = [_permit_number(DELIVER), _permit_number(AGAIN)]
    for name, argument in _INTO_SLOTS:
        nr = number(abi.name, name)
        for place in places if nr is not None else ():
            assert nr is not None
            offset = _ARGUMENTS + 8 * argument
            inside = [
                (_LOAD, 0, 0, offset + high),
                (_EQUAL, 0, 4, place >> 32),
                (_LOAD, 0, 0, offset + low),
                (_AT_LEAST, 0, 2, place & LOW_HALF),
                (_AT_LEAST, 1, 0, (place & LOW_HALF) + SPAN),
                (_RETURN, 0, 0, ALLOW),
            ]
            blocks.append([(_LOAD, 0, 0, _NUMBER), (_EQUAL, 0, len(inside), nr), *inside])
    body = [instruction for block in blocks for instruction in block]
    whole = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 0, len(body), abi.audit_arch), *body]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in whole)


def _permit_number(nr: int) -> list[tuple[int, int, int, int]]:
    return [(_LOAD, 0, 0, _NUMBER), (_EQUAL, 0, 1, nr), (_RETURN, 0, 0, ALLOW)]


class Filters:
    """The handlers of seccomp and prctl."""

    def __init__(self, act: Act, general: General) -> None:
        self.act = act
        self.general = general

    def handlers(self) -> Mapping[str, Handler]:
        return {"seccomp": self.seccomp, "prctl": self.prctl}

    def seccomp(self, call: HeldCall) -> None:
        """seccomp(operation, flags, program)"""
        if call.args[0] & LOW_HALF != _SET_MODE_FILTER:
            self.general.by_registers(call)
        elif call.args[1] & LISTENS:
            self.listen(call)
        else:
            self.install(call, 2)

    def listen(self, call: HeldCall) -> None:
        """Refuse a listener of the target's, which would be asked before the tracer is.

        USER_NOTIF is the stricter of the two answers, and CONTINUE would end the matter. Whether a
        listener is there the kernel asks last (seccomp_set_mode_filter in kernel/seccomp.c).
        """
        if not are_flags_right(call.args[1] & LOW_HALF):
            self.act.fail(call, EINVAL)
            return
        try:
            is_empty = not self.own_program(call, 2)
        except UnreadableMemory:
            self.act.fail(call, EFAULT)
            return
        if is_empty:
            self.act.fail(call, EINVAL)
        else:
            self.act.refuse(call, EBUSY, "the listener's place is taken")

    def prctl(self, call: HeldCall) -> None:
        """prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program), prctl(PR_SET_MM, ...)"""
        if holds(MOVES_BREAK, call.args):
            if self.act.permits(call):
                self.act.refuse(call, EPERM, "protection of the slots")
        elif call.args[0] & LOW_HALF == _PR_SET_SECCOMP and call.args[1] == _MODE_FILTER:
            self.install(call, 2)
        else:
            self.general.by_registers(call)

    def own_program(self, call: HeldCall, place: int) -> bytes:
        """What the struct sock_fprog at an argument holds. Raises UnreadableMemory."""
        shape = _PROGRAMS[self.act.abis[call.arch].pointer_size]
        length, address = shape.unpack(call.read_bytes(call.args[place], shape.size))
        return call.read_bytes(address, length * _INSTRUCTION.size)

    def install(self, call: HeldCall, place: int) -> None:
        """Judge by registers, then let the task load a copy of its program with the passage."""
        act = self.act
        if not act.permits(call):
            return
        act.sandbox.is_quick = False
        if not act.copies:
            act.proceed(call)
            return
        try:
            own = self.own_program(call, place)
        except UnreadableMemory:
            own = b""
        if not own:
            act.proceed(call)
            return
        if act.take_slot(call) is None:
            return
        base = call.task.process.space.base
        code = b"".join(passage(each, base) for each in act.abis.values()) + own
        if len(code) > _MOST * _INSTRUCTION.size:
            act.proceed(call)
            return
        area = act.arena.take_area()
        if area is None:
            act.proceed(call)
            return
        act.arena.write(area, code)
        header = area + _MOST * _INSTRUCTION.size
        shape = _PROGRAMS[act.abis[call.arch].pointer_size]
        act.arena.write(header, shape.pack(len(code) // _INSTRUCTION.size, base + area))
        arguments = list(call.args)
        arguments[place] = base + header
        call.task.area = area
        act.redirect(call, call.number, arguments, act.restore_after)

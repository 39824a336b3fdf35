"""Filters of the target's own: installed with a few instructions before them.

A target's filter also sees what the tracer makes of a call, and most would kill for an openat2 that
their author never heard of. So the program is copied, and lets the tracer's own numbers and calls
into the slots pass to the tracer's filter, which alone decides on them. For all else it is what the
target wrote. A listener of its own it cannot have (see filter.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import TYPE_CHECKING

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.private import AGAIN, DELIVER
from enforcer.mechanisms.ptrace.slots import SPAN
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.supervision.memory import UnreadableMemory
from enforcer.syscalls import number

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.calls import Calls
    from enforcer.mechanisms.ptrace.dispatch import Entry, Handler
    from enforcer.mechanisms.ptrace.tracer import Tracer

_INSTRUCTION = Struct("=HBBI")
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_MOST = 4096
_SET_MODE_FILTER = 1
_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_PROGRAMS = {8: Struct("=H6xQ"), 4: Struct("=HxxI")}
_INTO_SLOTS = (("openat2", 1), ("mmap", 0), ("mmap2", 0), ("mprotect", 0), ("mseal", 0))
"""Calls that the tracer makes a task do, with the argument that then points into the slots."""


def passage(abi: Abi) -> bytes:
    """Instructions that permit the tracer's own calls of `abi` and go on behind them otherwise."""
    high, low = (0, 4) if abi.big_endian else (4, 0)
    blocks = [_permit_number(DELIVER), _permit_number(AGAIN)]
    for name, argument in _INTO_SLOTS:
        nr = number(abi.name, name)
        if nr is not None:
            offset = _ARGUMENTS + 8 * argument
            inside = [
                (_LOAD, 0, 0, offset + high),
                (_EQUAL, 0, 4, 0),
                (_LOAD, 0, 0, offset + low),
                (_AT_LEAST, 0, 2, abi.spare_address),
                (_AT_LEAST, 1, 0, abi.spare_address + SPAN),
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

    def __init__(self, tracer: Tracer, calls: Calls) -> None:
        self.tracer = tracer
        self.calls = calls
        self.passages = b"".join(passage(abi) for abi in tracer.config.abis.values())

    def handlers(self) -> Mapping[str, Handler]:
        return {"seccomp": self.seccomp, "prctl": self.prctl}

    def seccomp(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """seccomp(operation, flags, program)"""
        if info[5] & 0xFFFF_FFFF == _SET_MODE_FILTER:
            self.install(task, info, entry, 2)
        else:
            self.calls.by_registers(task, info, entry)

    def prctl(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)"""
        if info[5] & 0xFFFF_FFFF == _PR_SET_SECCOMP and info[6] == _MODE_FILTER:
            self.install(task, info, entry, 2)
        else:
            self.calls.by_registers(task, info, entry)

    def install(self, task: Task, info: SyscallInfo, entry: Entry, place: int) -> None:
        """Judge by registers, then let the task load a copy of its program with the passage."""
        tracer = self.tracer
        decision = tracer.decide(task, entry.name, info[5:11], {}, entry.abi)
        if not tracer.settle(task, info, entry.name, decision, {}):
            return
        tracer.quick = None
        if not tracer.copies:
            tracer.proceed(task, info)
            return
        abi = tracer.config.abis[info[1]]
        shape = _PROGRAMS[abi.pointer_size]
        try:
            length, address = shape.unpack(tracer.read_bytes(task, info[5 + place], shape.size))
            size = length * _INSTRUCTION.size
            code = self.passages + tracer.read_bytes(task, address, size)
        except UnreadableMemory:
            tracer.proceed(task, info)
            return
        if length == 0 or len(code) > _MOST * _INSTRUCTION.size:
            tracer.proceed(task, info)
            return
        if tracer.take_slot(task, info) is None:
            return
        area = tracer.arena.take_area()
        if area is None:
            tracer.proceed(task, info)
            return
        base = task.process.space.base
        tracer.arena.write(area, code)
        header = area + _MOST * _INSTRUCTION.size
        tracer.arena.write(header, shape.pack(len(code) // _INSTRUCTION.size, base + area))
        arguments = list(info[5:11])
        arguments[place] = base + header
        task.area = area
        tracer.redirect(task, info, info[4], arguments, tracer.restore_after)

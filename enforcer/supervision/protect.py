"""What no policy can permit: calls by which a target stops, traces or starves its supervisor.

Calls that name a process of its by number are told by a small filter before the policy's. They, and
those that name one by a descriptor or in memory, go to the supervisor, which refuses and logs them.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from enforcer.arch.record import Abi
from enforcer.cbpf.instruction import LIMIT, Code, Instruction, Program
from enforcer.cbpf.spec import ALLOW, ERRNO, AbiTable, FilterSpec, SpecClause, always
from enforcer.condition import LOW_HALF, TRUE, All, Any, Compare, Condition, Operator, holds
from enforcer.syscalls import name as name_of
from enforcer.syscalls import number

REFUSED = errno.EPERM
AIMED = "aimed at the supervisor"
"""The reason of such a refusal, for the log."""

_F_SETOWN = 8
_F_SETOWN_EX = 15
_FIOSETOWN = 0x8901
_SIOCSPGRP = 0x8902
_PRIO_USER = 2
_IOPRIO_WHO_USER = 3
_EVERY_PROCESS = -1

_PROCESS_REGISTERS: Mapping[str, tuple[int, ...]] = {
    "kill": (0,),
    "tkill": (0,),
    "tgkill": (0, 1),
    "rt_sigqueueinfo": (0,),
    "rt_tgsigqueueinfo": (0, 1),
    "pidfd_open": (0,),
    "process_vm_readv": (0,),
    "process_vm_writev": (0,),
    "ptrace": (1,),
    "prlimit64": (0,),
    "kcmp": (0, 1),
    "setpriority": (1,),
    "ioprio_set": (1,),
    "sched_setaffinity": (0,),
    "sched_setattr": (0,),
    "sched_setparam": (0,),
    "sched_setscheduler": (0,),
    "migrate_pages": (0,),
    "move_pages": (0,),
    "get_robust_list": (0,),
    "perf_event_open": (1,),
    "fcntl": (2,),
    "fcntl64": (2,),
}
"""The registers that hold the number of a process, a thread or (negative) a group."""

_ONLY_WHEN: Mapping[str, Condition] = {
    "fcntl": Compare(1, Operator.EQ, _F_SETOWN, LOW_HALF),
    "fcntl64": Compare(1, Operator.EQ, _F_SETOWN, LOW_HALF),
}
_ALSO_WHEN: Mapping[str, Condition] = {
    "kill": Compare(0, Operator.EQ, _EVERY_PROCESS & LOW_HALF, LOW_HALF),
    "setpriority": Compare(0, Operator.EQ, _PRIO_USER, LOW_HALF),
    "ioprio_set": Compare(0, Operator.EQ, _IOPRIO_WHO_USER, LOW_HALF),
}
"""Calls that reach the supervisor without naming it: everybody, or everybody of its user."""

_OWNER_BY_MEMORY: Condition = Compare(1, Operator.EQ, _F_SETOWN_EX, LOW_HALF)

BY_DESCRIPTOR_OR_MEMORY: Mapping[str, Condition] = {
    "pidfd_send_signal": TRUE,
    "pidfd_getfd": TRUE,
    "fcntl": _OWNER_BY_MEMORY,
    "fcntl64": _OWNER_BY_MEMORY,
    "ioctl": Any(
        (
            Compare(1, Operator.EQ, _FIOSETOWN, LOW_HALF),
            Compare(1, Operator.EQ, _SIOCSPGRP, LOW_HALF),
        )
    ),
}
"""Calls that the supervisor must look at itself, and when."""


NAMING_CALLS = frozenset(_PROCESS_REGISTERS)
"""Calls that name a process by a number in a register."""


def protection_spec(
    abis: Sequence[Abi], processes: Iterable[int], answer: int = ERRNO(REFUSED)
) -> FilterSpec:
    """The filter that gives `answer` to every call naming one of `processes` (pid and threads).

    It permits all else, and leaves foreign ABIs to the policy's filter.
    """
    named = tuple(processes)
    clauses = {
        name: (SpecClause(_naming(name, named), answer, AIMED), *always(ALLOW))
        for name in NAMING_CALLS
    }
    tables = []
    for abi in abis:
        numbers = {name: number(abi.name, name) for name in clauses}
        calls = {nr: clauses[name] for name, nr in numbers.items() if nr is not None}
        tables.append(AbiTable(abi, calls, unknown=ALLOW))
    return FilterSpec(tuple(tables), foreign=ALLOW)


def _naming(name: str, processes: tuple[int, ...]) -> Condition:
    """When call `name` concerns one of `processes`."""
    named: Condition = Any(
        tuple(
            Compare(register, Operator.EQ, value & LOW_HALF, LOW_HALF)
            for register in _PROCESS_REGISTERS[name]
            for process in processes
            for value in (process, -process)
        )
    )
    if name in _ONLY_WHEN:
        named = All((_ONLY_WHEN[name], named))
    if name in _ALSO_WHEN:
        named = Any((_ALSO_WHEN[name], named))
    return named


def before(first: Program, then: Program) -> Program | None:
    """One program: what `first` permits, `then` decides. None: it is too large to be loaded.

    Two filters would do, and the strictest answer wins; but the kernel gives USER_NOTIF only from
    the filter that has the listener, and ENOSYS from any other (seccomp_do_user_notification).
    """
    size = len(first)
    if size + len(then) > LIMIT:
        return None
    return (
        *(
            Instruction(Code.JA, size - place - 1) if (op.code, op.k) == (Code.RET, ALLOW) else op
            for place, op in enumerate(first)
        ),
        *then,
    )


def mediate(spec: FilterSpec, when: Mapping[str, Condition], answer: int) -> FilterSpec:
    """`spec` with `answer` in place of a plain permit, for the calls and registers in `when`."""
    tables = []
    for table in spec.tables:
        calls = dict(table.calls)
        for nr, clauses in table.calls.items():
            condition = when.get(name_of(table.abi.name, nr) or "")
            if condition is not None:
                calls[nr] = _mediated(clauses, condition, answer)
        tables.append(replace(table, calls=calls))
    return replace(spec, tables=tuple(tables))


def _mediated(
    clauses: tuple[SpecClause, ...], condition: Condition, answer: int
) -> tuple[SpecClause, ...]:
    result: list[SpecClause] = []
    for clause in clauses:
        if clause.answer == ALLOW:
            both = clause.when if condition == TRUE else All((clause.when, condition))
            result.append(SpecClause(both, answer, "mediated by the supervisor"))
        result.append(clause)
    return tuple(result)


class Protected:
    """The supervisor's own processes, as descriptors and structs of a target may name them."""

    def __init__(self, processes: Iterable[int]) -> None:
        self.processes = frozenset(processes)
        named = tuple(self.processes)
        self._naming = {name: _naming(name, named) for name in NAMING_CALLS}

    def is_named_by_register(self, name: str, args: Sequence[int]) -> bool:
        """Whether a call that names processes by number concerns a protected one."""
        return name in self._naming and holds(self._naming[name], args)

    def is_named_by_descriptor(self, descriptor: int) -> bool:
        """Whether `descriptor` (of the caller) is a pidfd or /proc directory of a protected one.

        Also true when it cannot be told.
        """
        entry = Path(f"/proc/self/fd/{descriptor}")
        try:
            found = re.fullmatch(r"/proc/(\d+)(/task/\d+)?", os.fsdecode(entry.readlink()))
            if found is not None:
                return int(found[1]) in self.processes
            text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
        except OSError:
            return True
        pid = re.search(r"^Pid:\s*(-?\d+)$", text, re.MULTILINE)
        return pid is not None and int(pid[1]) in self.processes

    def is_named_by_owner(self, owner: bytes) -> bool:
        """Whether the struct f_owner_ex, or the int of FIOSETOWN, names a protected one."""
        (process,) = struct.unpack("=i", owner[-4:])
        return abs(process) in self.processes

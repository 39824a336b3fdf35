"""What no policy can permit: calls by which a target stops, traces or starves its supervisor.

Calls that name the supervisor, as it was at the launch, are told by a small filter before the
policy's. They, those that name any other task (it may be a later thread), and those that name one
by a descriptor or in memory, go to the supervisor, which refuses and logs them (see aimed.py).
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.instruction import LIMIT, Code, Instruction, Program
from enforcer.cbpf.spec import ALLOW, ERRNO, AbiTable, FilterSpec, SpecClause, always
from enforcer.condition import LOW_HALF, TRUE, All, Any, Compare, Condition, Operator
from enforcer.syscalls import name as name_of
from enforcer.syscalls import number

REFUSED = errno.EPERM
AIMED = "aimed at the supervisor"
"""The reason of such a refusal, for the log."""

MEDIATION = "mediated by the supervisor"
"""The origin of clauses that are there for the supervisor's sake."""

_PTRACE_TRACEME = 0  # asks for its maker, whatever number goes with it
_F_SETOWN = 8
_F_SETOWN_EX = 15
_FIOSETOWN = 0x8901
_SIOCSPGRP = 0x8902
_PRIO_USER = 2
_IOPRIO_WHO_USER = 3
_EVERYBODY = Compare(0, Operator.EQ, -1 & LOW_HALF, LOW_HALF)
_SENDS = Compare(1, Operator.NE, 0, LOW_HALF)  # signal 0 only asks whether one could be (kill(2))

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
    "setpgid": (1,),
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
"""The registers that hold the number of a process, a thread or (negative) a group.

In the supervisor's group a target could signal it by the number 0.
"""

_NO_TASK = frozenset({"setpgid", "tgkill", "rt_tgsigqueueinfo"})
"""Calls that reach no thread of the supervisor without naming the process (do_send_specific)."""

_ONLY_WHEN: Mapping[str, Condition] = {
    "fcntl": Compare(1, Operator.EQ, _F_SETOWN, LOW_HALF),
    "fcntl64": Compare(1, Operator.EQ, _F_SETOWN, LOW_HALF),
    "ptrace": Compare(0, Operator.NE, _PTRACE_TRACEME),
}
_ALSO_WHEN: Mapping[str, Condition] = {
    "kill": All((_EVERYBODY, _SENDS)),
    "setpriority": Compare(0, Operator.EQ, _PRIO_USER, LOW_HALF),
    "ioprio_set": Compare(0, Operator.EQ, _IOPRIO_WHO_USER, LOW_HALF),
}
"""Calls that reach the supervisor without naming it: everybody, or everybody of its user."""

_PRIO_PROCESS = Compare(0, Operator.EQ, 0, LOW_HALF)
_IOPRIO_PROCESS = Compare(0, Operator.EQ, 1, LOW_HALF)
_OF_TASKS: Mapping[str, Condition] = {
    **_ONLY_WHEN,
    "setpriority": _PRIO_PROCESS,
    "ioprio_set": _IOPRIO_PROCESS,
}
"""When the number is that of a task, for calls that also take others."""


def _names_a_task(name: str) -> Condition:
    """Whether a call names another task than its caller: any number above zero.

    Every task has a number of its own, threads too (find_vpid), and a supervisor's threads come and
    go. No filter can know which numbers are theirs.
    """
    positive = tuple(
        All(
            (
                Compare(register, Operator.NE, 0, LOW_HALF),
                Compare(register, Operator.EQ, 0, _SIGN),
            )
        )
        for register in _PROCESS_REGISTERS[name]
    )
    named = positive[0] if len(positive) == 1 else Any(positive)
    return All((_OF_TASKS[name], named)) if name in _OF_TASKS else named


_SIGN = 1 << 31
NAMING_TASKS: Mapping[str, Condition] = {
    name: _names_a_task(name) for name in _PROCESS_REGISTERS if name not in _NO_TASK
}
"""Calls that name a task by number, and when: the supervisor must look whether it is its own."""

_OWNER_BY_MEMORY: Condition = Compare(1, Operator.EQ, _F_SETOWN_EX, LOW_HALF)

BY_DESCRIPTOR_OR_MEMORY: Mapping[str, Condition] = {
    "pidfd_send_signal": TRUE,
    "pidfd_getfd": TRUE,
    "process_madvise": TRUE,
    "process_mrelease": TRUE,
    "setns": TRUE,
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

MEDIATED: Mapping[str, Condition] = {
    name: Any(tuple(each[name] for each in (NAMING_TASKS, BY_DESCRIPTOR_OR_MEMORY) if name in each))
    for name in (*NAMING_TASKS, *BY_DESCRIPTOR_OR_MEMORY)
}
"""All that the supervisor must look at itself, whatever the policy permits by registers."""


def numbers_named(name: str, args: Sequence[int]) -> tuple[int, ...]:
    """The numbers of tasks that a call of NAMING_TASKS names."""
    found = (args[register] & LOW_HALF for register in _PROCESS_REGISTERS[name])
    return tuple(number for number in found if 0 < number < _SIGN)


def protection_spec(
    abis: Sequence[Abi], processes: Iterable[int], answer: int = ERRNO(REFUSED)
) -> FilterSpec:
    """The filter that gives `answer` to every call naming one of `processes` (pid and threads).

    It permits all else, and leaves foreign ABIs to the policy's filter.
    """
    named = tuple(processes)
    clauses = {
        name: (SpecClause(naming(name, named), answer, AIMED), *always(ALLOW))
        for name in NAMING_CALLS
    }
    tables = []
    for abi in abis:
        numbers = {name: number(abi.name, name) for name in clauses}
        calls = {nr: clauses[name] for name, nr in numbers.items() if nr is not None}
        tables.append(AbiTable(abi, calls, unknown=ALLOW))
    return FilterSpec(tuple(tables), foreign=ALLOW)


def naming(name: str, processes: tuple[int, ...]) -> Condition:
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
            result.append(SpecClause(both, answer, MEDIATION))
        result.append(clause)
    return tuple(result)

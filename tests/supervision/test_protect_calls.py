"""Every call by which a target could name its supervisor, register by register."""

from __future__ import annotations

import pytest

from enforcer.arch import ABIS
from enforcer.cbpf.spec import ALLOW, ERRNO, SeccompData, evaluate
from enforcer.condition import holds
from enforcer.supervision.protect import (
    BY_DESCRIPTOR_OR_MEMORY,
    NAMING_TASKS,
    numbers_named,
    protection_spec,
)
from enforcer.syscalls import number

SUPERVISOR, THREAD, OTHER = 4321, 4330, 4322
REGISTERS = 6

NAMED_BY = {
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
    "setpgid": (1,),
}
"""The registers in which the manual pages have a pid, a tid or (negative) a process group."""


def answer(abi: str, call: str, registers: dict[int, int]) -> int:
    spec = protection_spec([ABIS[abi]], [SUPERVISOR, THREAD])
    nr = number(abi, call)
    assert nr is not None
    a, b, c, d, e, f = (registers.get(place, 7) & (1 << 64) - 1 for place in range(REGISTERS))
    return evaluate(spec, SeccompData(nr, ABIS[abi].audit_arch, (a, b, c, d, e, f)))


@pytest.mark.parametrize("abi", ["x86_64", "i386", "arm64"])
@pytest.mark.parametrize("call", NAMED_BY)
def test_each_register_that_names_a_process_is_looked_at(abi: str, call: str) -> None:
    """EPERM for pid and threads, as numbers and as groups, in the lower half of the register."""
    if number(abi, call) is None:
        pytest.skip(f"{abi} has no {call}")
    for register in NAMED_BY[call]:
        for process in (SUPERVISOR, THREAD, -SUPERVISOR, -THREAD):
            for junk in (0, 0xDEAD_BEEF << 32):
                value = process & 0xFFFF_FFFF | junk
                assert answer(abi, call, {register: value}) == ERRNO(1), (register, process, junk)
    for register in range(REGISTERS):
        assert answer(abi, call, {register: OTHER}) == ALLOW, register
        if register not in NAMED_BY[call]:
            assert answer(abi, call, {register: SUPERVISOR}) == ALLOW, register


REACHING_NO_THREAD = frozenset({"tgkill", "rt_tgsigqueueinfo", "setpgid"})
"""Those that name the process as well, and check it (tgkill(2)); or a group."""


AS_ONE_TASK = {
    "ptrace": (0, 16),  # PTRACE_ATTACH
    "setpriority": (0, 0),
    "ioprio_set": (0, 1),
}
"""The register and value with which these take a number for a task's."""

VALUES = ((OTHER, True), (OTHER | 0xDEAD << 32, True), (0, False), (-OTHER, False))


@pytest.mark.parametrize("call", NAMED_BY)
def test_a_number_of_any_task_is_the_supervisors_to_look_at(call: str) -> None:
    """Each above zero in its register's lower half, in calls that threads can be named by."""
    if call in REACHING_NO_THREAD:
        assert call not in NAMING_TASKS
        return
    for register in NAMED_BY[call]:
        for value, is_named in VALUES:
            args = [0] * REGISTERS
            if call in AS_ONE_TASK:
                at, meant = AS_ONE_TASK[call]
                args[at] = meant
            args[register] = value & (1 << 64) - 1
            assert holds(NAMING_TASKS[call], args) is is_named, (register, value)
            assert (numbers_named(call, args) == (OTHER,)) is is_named


@pytest.mark.parametrize("call", ["fcntl", "fcntl64"])
def test_owners_of_descriptors(call: str) -> None:
    """F_SETOWN of the supervisor, and no other command with its number."""
    abi = "i386"
    for process in (SUPERVISOR, -SUPERVISOR, THREAD):
        assert answer(abi, call, {1: 8, 2: process}) == ERRNO(1)
        assert answer(abi, call, {1: 1 << 40 | 8, 2: process}) == ERRNO(1)
        assert answer(abi, call, {1: 9, 2: process}) == ALLOW
    assert answer(abi, call, {1: 8, 2: OTHER}) == ALLOW


@pytest.mark.parametrize(
    ("call", "register", "everybody", "others"),
    [
        ("kill", 0, -1, (0, 1, -2)),
        ("setpriority", 0, 2, (0, 1)),
        ("ioprio_set", 0, 3, (1, 2)),
    ],
)
def test_calls_that_reach_everybody(
    call: str, register: int, everybody: int, others: tuple[int, ...]
) -> None:
    """All processes, or all of the supervisor's user."""
    assert answer("x86_64", call, {register: everybody}) == ERRNO(1)
    for value in others:
        assert answer("x86_64", call, {register: value}) == ALLOW


@pytest.mark.parametrize(
    ("call", "command"),
    [("fcntl", 15), ("fcntl64", 15), ("ioctl", 0x8901), ("ioctl", 0x8902)],
)
def test_commands_that_name_an_owner_in_memory(call: str, command: int) -> None:
    """They are the supervisor's to look at, whatever the upper half of the register."""
    when = BY_DESCRIPTOR_OR_MEMORY[call]
    assert holds(when, (3, command, 0, 0, 0, 0))
    assert holds(when, (3, 0xDEAD << 32 | command, 0, 0, 0, 0))
    assert not holds(when, (3, command + 2, 0, 0, 0, 0))


@pytest.mark.parametrize(
    "call", ["pidfd_send_signal", "pidfd_getfd", "process_madvise", "process_mrelease", "setns"]
)
def test_calls_by_descriptor_are_always_looked_at(call: str) -> None:
    """No register of theirs tells whose the descriptor is."""
    assert holds(BY_DESCRIPTOR_OR_MEMORY[call], (0, 0, 0, 0, 0, 0))

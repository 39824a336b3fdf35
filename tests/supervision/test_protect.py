"""No policy lets a target reach its supervisor by a process number."""

from __future__ import annotations

import errno
import os
import signal
import threading

import pytest

from enforcer.arch import ABIS
from enforcer.call import Action
from enforcer.cbpf.spec import ALLOW, ERRNO, USER_NOTIF, SeccompData, evaluate
from enforcer.mechanisms.filter_spec import spec_from_policies
from enforcer.policy.ast import Dialect, Policy
from enforcer.supervision.aimed import Protected
from enforcer.supervision.protect import (
    BY_DESCRIPTOR_OR_MEMORY,
    mediate,
    protection_spec,
)
from enforcer.syscalls import number

SUPERVISOR, THREAD, OTHER = 4321, 4330, 4322
REFUSED = ERRNO(1)
JUNK = 0xDEAD_BEEF_0000_0000
"""In the upper half of a register that the kernel takes as an int."""

ABI_NAMES = ("x86_64", "i386")


def _answer(abi: str, call: str, *registers: int) -> int:
    spec = protection_spec([ABIS[name] for name in ABI_NAMES], [SUPERVISOR, THREAD])
    nr = number(abi, call)
    assert nr is not None
    a, b, c, d, e, f = (*(value & (1 << 64) - 1 for value in registers), 0, 0, 0, 0, 0, 0)[:6]
    return evaluate(spec, SeccompData(nr, ABIS[abi].audit_arch, (a, b, c, d, e, f)))


@pytest.mark.parametrize("abi", ABI_NAMES)
@pytest.mark.parametrize(
    ("call", "registers"),
    [
        ("kill", (SUPERVISOR, 9)),
        ("kill", (THREAD, 9)),
        ("kill", (-SUPERVISOR, 9)),
        ("kill", (-1, 9)),
        ("kill", (SUPERVISOR, 0)),
        ("tkill", (THREAD, 19)),
        ("tgkill", (SUPERVISOR, THREAD, 9)),
        ("tgkill", (0, THREAD, 9)),
        ("rt_sigqueueinfo", (SUPERVISOR, 9)),
        ("rt_tgsigqueueinfo", (SUPERVISOR, SUPERVISOR, 9)),
        ("pidfd_open", (SUPERVISOR, 0)),
        ("process_vm_writev", (SUPERVISOR,)),
        ("ptrace", (16, SUPERVISOR)),
        ("prlimit64", (SUPERVISOR, 7)),
        ("kcmp", (OTHER, SUPERVISOR)),
        ("setpriority", (0, SUPERVISOR, 19)),
        ("setpriority", (2, 1000, 19)),
        ("sched_setaffinity", (THREAD,)),
        ("ioprio_set", (3, 1000)),
        ("fcntl", (5, 8, SUPERVISOR)),
        ("fcntl", (5, 8, -SUPERVISOR)),
    ],
)
def test_call_that_names_the_supervisor_is_refused(
    abi: str, call: str, registers: tuple[int, ...]
) -> None:
    """EPERM, also with junk in the half of the register that the kernel does not look at."""
    assert _answer(abi, call, *registers) == REFUSED
    if abi == "x86_64":
        assert _answer(abi, call, *(value & 0xFFFF_FFFF | JUNK for value in registers)) == REFUSED


@pytest.mark.parametrize(
    ("call", "registers"),
    [
        ("kill", (OTHER, 9)),
        ("kill", (0, 9)),
        ("kill", (-1, 0)),
        ("kill", (-1, 1 << 32)),
        ("tgkill", (OTHER, OTHER, 9)),
        ("fcntl", (SUPERVISOR, 3, 0)),
        ("fcntl", (5, 2, SUPERVISOR)),
        ("setpriority", (0, 0, 5)),
        ("getpgid", (SUPERVISOR,)),
    ],
)
def test_other_calls_pass(call: str, registers: tuple[int, ...]) -> None:
    """A process number elsewhere, or another command, is none of the protection's business."""
    assert _answer("x86_64", call, *registers) == ALLOW


def test_mediated_calls_go_to_the_supervisor_only_where_the_policy_permits() -> None:
    """A plain permit becomes the supervisor's matter for the named registers, a denial stays."""
    abi = ABIS["x86_64"]
    nr = number("x86_64", "fcntl")
    assert nr is not None
    by_action = {}
    for action in (Action.PERMIT, Action.DENY):
        policy = Policy(binary=None, dialect=Dialect.STRICT, rules=(), default=action)
        spec = spec_from_policies([policy], [abi], defer=USER_NOTIF)
        mediated = mediate(spec, BY_DESCRIPTOR_OR_MEMORY, USER_NOTIF)
        by_action[action] = [
            evaluate(mediated, SeccompData(nr, abi.audit_arch, (5, command, 0, 0, 0, 0)))
            for command in (15, 3)
        ]
    assert by_action[Action.PERMIT] == [USER_NOTIF, ALLOW]
    assert by_action[Action.DENY] == [ERRNO(1), ERRNO(1)]


def _opened(number: int) -> list[int]:
    """A pidfd of a process, its directory in procfs, and one of a thread's there."""
    return [
        os.pidfd_open(number),
        os.open(f"/proc/{number}", os.O_RDONLY),
        os.open(f"/proc/{number}/task/{number}", os.O_RDONLY),
    ]


def test_protected_process_is_recognised_behind_descriptors() -> None:
    """A pidfd and a /proc directory name their process; other descriptors name none."""
    protected = Protected([os.getpid()])
    ours, others = _opened(os.getpid()), _opened(1)
    others += [os.open(place, os.O_RDONLY) for place in ("/dev/null", "/proc", "/proc/1/status")]
    try:
        assert [protected.is_named_by_descriptor(fd) for fd in ours] == [True] * len(ours)
        assert [protected.is_named_by_descriptor(fd) for fd in others] == [False] * len(others)
    finally:
        for descriptor in (*ours, *others):
            os.close(descriptor)
    assert protected.is_named_by_descriptor(ours[0]), "what cannot be told is taken for protected"


def test_a_thread_that_came_later_is_protected() -> None:
    """Its number, and a pidfd of it, are the supervisor's from its birth to its end."""
    protected = Protected([os.getpid()])
    begun, over = threading.Event(), threading.Event()

    def live() -> None:
        begun.set()
        over.wait()

    thread = threading.Thread(target=live)
    thread.start()
    begun.wait()
    try:
        number = thread.native_id or 0
        owner = number.to_bytes(4, "little")
        assert protected.refusal("kill", (number, 9, 0, 0, 0, 0), 1) == errno.EPERM
        assert protected.is_named_by_owner(owner)
    finally:
        over.set()
        thread.join()


def test_a_number_that_nobody_has_is_answered() -> None:
    """ESRCH, whoever may be born with it later; a target's own number is not asked about."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    args = (child, 9, 0, 0, 0, 0)
    assert Protected([1]).refusal("kill", args, os.getpid()) == 0, "it can be waited for still"
    os.waitpid(child, 0)
    assert Protected([1]).refusal("kill", args, os.getpid()) == errno.ESRCH
    assert Protected([1], lambda number: number == child).refusal("kill", args, os.getpid()) == 0
    assert Protected([1]).refusal("getpgid", args, os.getpid()) == 0


@pytest.mark.parametrize(("process", "named"), [(SUPERVISOR, True), (OTHER, False)])
def test_owner_of_signals_in_memory(process: int, named: bool) -> None:
    """F_SETOWN_EX's struct and FIOSETOWN's int are read, a group's negative number too."""
    protected = Protected([SUPERVISOR])
    value = process.to_bytes(4, "little", signed=True)
    group = (-process).to_bytes(4, "little", signed=True)
    kind = int(signal.SIGTERM).to_bytes(4, "little")
    assert protected.is_named_by_owner(kind + value) is named
    assert protected.is_named_by_owner(value) is named
    assert protected.is_named_by_owner(group) is named

"""What filters answer for policies, call by call, also behind ipc and socketcall: written out."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from enforcer.arch import ABIS, ARCHES
from enforcer.call import Action, Decision
from enforcer.cbpf import ALLOW, ERRNO, KILL_PROCESS, TRACE, FilterSpec, SeccompData, evaluate
from enforcer.cbpf.spec import SpecClause
from enforcer.condition import TRUE, Compare, Operator
from enforcer.mechanisms.filter_spec import kernel_answer, origin_of, spec_from_policies
from enforcer.policy.ast import Policy
from enforcer.policy.parser import parse_yaml
from enforcer.syscalls import number

DEFER, DENIED, ENOSYS = TRACE(1), ERRNO(errno.EACCES), ERRNO(errno.ENOSYS)
IPC = {
    "semop": (1, (1, 4, 2)),
    "semget": (2, (1, 2, 3)),
    "semtimedop": (4, (1, 4, 2, 5)),
    "msgsnd": (11, (1, 4, 2, 3)),
    "msgget": (13, (1, 2)),
    "msgctl": (14, (1, 2, 4)),
    "shmat": (21, (1, 4, 2)),
    "shmdt": (22, (4,)),
    "shmget": (23, (1, 2, 3)),
    "shmctl": (24, (1, 2, 4)),
}
"""ipc(2), ipc/syscall.c: each call's number, and which of ipc's registers are its arguments."""


def policy(rule: str, default: str = "permit") -> Policy:
    return parse_yaml(f"default: {default}\nrules:\n  - {rule}\n", "policy.yaml")


def denied(call: str, when: str) -> Policy:
    return policy(f"deny[eacces]: {call}\n    when: {when}")


def ask(spec: FilterSpec, abi: str, name: str, *registers: int) -> int:
    a, b, c, d, e, f = (*registers, 0, 0, 0, 0, 0, 0)[:6]
    nr = number(abi, name)
    assert nr is not None
    return evaluate(spec, SeccompData(nr, ABIS[abi].audit_arch, (a, b, c, d, e, f)))


def spec_of(*policies: Policy, arch: str = "x86_64") -> FilterSpec:
    return spec_from_policies(policies, ARCHES[arch].abis, defer=DEFER)


def alone(*policies: Policy, abi: str = "i386") -> FilterSpec:
    """The filter of one ABI, which takes less time to make."""
    return spec_from_policies(policies, [ABIS[abi]], defer=DEFER)


@pytest.mark.parametrize("call", IPC)
def test_each_argument_behind_ipc(call: str) -> None:
    """A condition on an argument looks at the register of ipc that holds it, and at no other."""
    code, places = IPC[call]
    for argument, place in enumerate(places):
        spec = alone(denied(call, f"arg[{argument}] == 77"))
        for register in range(1, 6):
            registers = [code, 0, 0, 0, 0, 0]
            registers[register] = 77
            expected = DENIED if register == place else ALLOW
            assert ask(spec, "i386", "ipc", *registers) == expected, (argument, register)
    for argument in range(len(places), 6):
        nothing = alone(denied(call, f"arg[{argument}] != 0"))
        assert ask(nothing, "i386", "ipc", code, 1, 1, 1, 1, 1) == ALLOW
        zero = alone(denied(call, f"arg[{argument}] == 0"))
        assert ask(zero, "i386", "ipc", code, 1, 1, 1, 1, 1) == DENIED


def test_semtimedop_of_s390x() -> None:
    """Its timeout is in the third register there."""
    spec = alone(denied("semtimedop", "arg[3] == 77"), abi="s390x")
    assert ask(spec, "s390x", "ipc", 4, 0, 0, 77) == DENIED
    assert ask(spec, "s390x", "ipc", 4, 0, 0, 0, 0, 77) == ALLOW


@pytest.mark.parametrize(("call", "code", "argument"), [("msgrcv", 12, 2), ("semctl", 3, 3)])
def test_arguments_behind_ipcs_pointer(call: str, code: int, argument: int) -> None:
    """What msgrcv and semctl may have in memory no filter sees; without conditions none must."""
    spec = alone(denied(call, f"arg[{argument}] == 77"))
    for version in (0, 1 << 16):
        assert ask(spec, "i386", "ipc", version | code, 77, 77, 77, 77, 77) == DEFER
    assert ask(alone(policy(f"deny[eacces]: {call}")), "i386", "ipc", code) == DENIED


@pytest.mark.parametrize(
    ("when", "denied_for"),
    [
        ("arg[0] == 1 and arg[1] == 1", {(1, 1)}),
        ("arg[0] == 1 or arg[1] == 1", {(0, 1), (1, 0), (1, 1)}),
        ("not arg[0] == 1", {(0, 0), (0, 1)}),
        ("not (arg[0] == 1 and arg[1] == 1)", {(0, 0), (0, 1), (1, 0)}),
        ("not arg[0] == 1 and arg[5] == 0", {(0, 0), (0, 1)}),
        ("arg[0] == 1 or arg[5] == 0", {(0, 0), (0, 1), (1, 0), (1, 1)}),
        ("arg[0] == 1 or arg[5] == 1", {(1, 0), (1, 1)}),
        ("arg[0] & 3 == 1 and arg[1] < 1", {(1, 0)}),
    ],
)
def test_joined_conditions_behind_ipc(when: str, denied_for: set[tuple[int, int]]) -> None:
    """And, or and not are moved with the registers that they join."""
    spec = alone(denied("shmget", f"'{when}'"))
    for first in (0, 1):
        for second in (0, 1):
            expected = DENIED if (first, second) in denied_for else ALLOW
            assert ask(spec, "i386", "ipc", 23, first, second, 9, 9, 9) == expected
            assert ask(spec, "i386", "ipc", 1 << 16 | 23, first, second) == expected


def test_multiplexers_tell_calls_by_the_bits_that_the_kernel_takes() -> None:
    """32 bits of socketcall's number, 16 of ipc's; any other is EINVAL and ENOSYS."""
    spec = spec_of(policy("deny[eacces]: [connect, shmat]"))
    assert ask(spec, "i386", "socketcall", 3) == DENIED
    assert ask(spec, "i386", "socketcall", 0x1_0003) == ERRNO(errno.EINVAL)
    assert ask(spec, "i386", "socketcall", 0) == ERRNO(errno.EINVAL)
    assert ask(spec, "i386", "socketcall", 21) == ERRNO(errno.EINVAL)
    assert ask(spec, "i386", "socketcall", 1) == ALLOW
    assert ask(spec, "i386", "ipc", 21) == DENIED
    assert ask(spec, "i386", "ipc", 0x7_0015) == DENIED
    assert ask(spec, "i386", "ipc", 5) == ENOSYS
    assert ask(spec, "i386", "ipc", 0) == ENOSYS
    assert ask(spec, "i386", "ipc", 23) == ALLOW
    wide = spec_of(policy("deny[eacces]: [connect, shmat]"), arch="s390x")
    assert ask(wide, "s390x", "socketcall", 0x1_0000_0003) == DENIED
    assert ask(wide, "s390x", "ipc", 0x1_0000_0015) == DENIED


def test_registers_of_each_abi() -> None:
    """clone's flags on s390x, and mmap of i386, whose arguments lie in memory."""
    flags = denied("clone", "'flags sub \"CLONE_NEWUSER\"'")
    user = 0x1000_0000
    assert ask(spec_of(flags), "x86_64", "clone", user) == DENIED
    assert ask(spec_of(flags), "x86_64", "clone", 0, user) == ALLOW
    assert ask(spec_of(flags, arch="s390x"), "s390x", "clone", 0, user) == DENIED
    assert ask(spec_of(flags, arch="s390x"), "s390x", "clone", user) == ALLOW
    prot = spec_of(denied("mmap", "'prot sub \"PROT_EXEC\"'"))
    assert ask(prot, "x86_64", "mmap", 0, 0, 4) == DENIED
    assert ask(prot, "x86_64", "mmap", 0, 0, 1) == ALLOW
    assert ask(prot, "i386", "mmap", 0, 0, 4) == DEFER
    assert ask(prot, "i386", "mmap", 0, 0, 1) == DEFER


def test_what_is_logged_or_elevated_is_deferred() -> None:
    """The supervisor writes the log; also behind socketcall."""
    spec = spec_of(policy("permit: connect\n    log: true"))
    assert ask(spec, "x86_64", "connect") == DEFER
    assert ask(spec, "i386", "socketcall", 3) == DEFER
    assert ask(spec, "x86_64", "bind") == ALLOW


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("permit", ALLOW),
        ("deny", ERRNO(errno.EPERM)),
        ("deny[erofs]", ERRNO(errno.EROFS)),
        ("ask", ERRNO(errno.EPERM)),
        ("kill", KILL_PROCESS),
    ],
)
def test_every_default(default: str, expected: int) -> None:
    """A question that nobody is there to answer is a refusal, never success."""
    spec = alone(policy("permit: uname", default), abi="x86_64")
    assert ask(spec, "x86_64", "read") == expected
    assert ask(spec, "x86_64", "uname") == ALLOW


def test_only_what_registers_leave_open_is_deferred() -> None:
    """A file name counts for opens that only read; all others are answered here."""
    spec = alone(denied("openat", '\'filename eq "/a" and oflags sub "ro"\''), abi="x86_64")
    assert ask(spec, "x86_64", "openat", 0, 0, 0) == DEFER
    assert ask(spec, "x86_64", "openat", 0, 0, 1) == ALLOW


def test_masks_behind_ipc() -> None:
    """They are moved with the value that they belong to."""
    spec = alone(denied("shmget", "arg[0] & 3 == 1"))
    answers = [ask(spec, "i386", "ipc", 23, value) for value in (1, 5, 4, 2, 0)]
    assert answers == [DENIED, DENIED, ALLOW, ALLOW, ALLOW]


def test_an_answerer_of_ones_own() -> None:
    """What it returns is the answer; where it returns nothing, the call is deferred."""

    def answer(decision: Decision) -> int | None:
        return None if decision.action is Action.PERMIT else ERRNO(77)

    spec = spec_from_policies(
        [policy("deny: mkdir")], ARCHES["x86_64"].abis, defer=DEFER, answer=answer
    )
    assert ask(spec, "x86_64", "mkdir") == ERRNO(77)
    assert ask(spec, "x86_64", "read") == DEFER
    assert kernel_answer(Decision(action=Action.DENY, errno=5)) == ERRNO(5)


def test_a_call_by_itself_and_with_its_arguments_in_memory() -> None:
    """Of one filter: registers decide of the one, the supervisor alone of the other."""
    spec = spec_of(denied("connect", "arg[2] == 5"))
    assert ask(spec, "i386", "connect", 0, 0, 5) == DENIED
    assert ask(spec, "i386", "connect", 0, 0, 4) == ALLOW
    for registers in ((3, 0, 5), (3, 0, 4)):
        assert ask(spec, "i386", "socketcall", *registers) == DEFER


def test_forced_answers_behind_multiplexers() -> None:
    """Conditional ones follow ipc's registers, and are deferred where these are in memory."""
    looking = (SpecClause(Compare(1, Operator.EQ, 5), ERRNO(9)), SpecClause(TRUE, ALLOW))
    forced = {"shmget": looking, "semctl": looking, "connect": looking}
    spec = spec_from_policies(
        [policy("permit: read")], ARCHES["x86_64"].abis, defer=DEFER, forced=forced
    )
    assert ask(spec, "i386", "ipc", 23, 0, 5) == ERRNO(9)
    assert ask(spec, "i386", "ipc", 23, 5, 0) == ALLOW
    assert ask(spec, "x86_64", "shmget", 0, 5) == ERRNO(9)
    assert ask(spec, "i386", "ipc", 3, 0, 5) == DEFER
    assert ask(spec, "i386", "socketcall", 3) == DEFER
    assert ask(spec, "i386", "connect", 0, 5) == ERRNO(9)


def test_x32_beside_x86_64() -> None:
    """Not given, it kills; given, it has its own calls."""
    nr = number("x32", "read")
    assert nr is not None
    call = SeccompData(nr, ABIS["x86_64"].audit_arch)
    without = spec_from_policies([policy("permit: read")], [ABIS["x86_64"]], defer=DEFER)
    assert evaluate(without, call) == KILL_PROCESS
    both = spec_from_policies([policy("permit: read")], [ABIS["x86_64"], ABIS["x32"]], defer=DEFER)
    assert evaluate(both, call) == ALLOW


def test_conditions_are_whole() -> None:
    """A clause behind ipc holds for its own call alone, whatever it is made of."""
    always_true = spec_of(denied("shmget", "arg[0] == 1 or not arg[0] == 1"))
    assert ask(always_true, "i386", "ipc", 23) == DENIED
    assert ask(always_true, "i386", "ipc", 24) == ALLOW


def test_origins() -> None:
    """A rule by its file and line, else by its number; a default by its reason, if it has one."""
    made = policy("deny: mkdir")
    first = Decision(action=Action.DENY, rule=0)
    assert origin_of(made, first) == "policy.yaml:3"
    assert origin_of(replace(made, source=""), first) == "rule:3"
    unplaced = replace(made, rules=(replace(made.rules[0], position=None),))
    assert origin_of(unplaced, first) == "rule 1"
    assert origin_of(made, Decision(action=Action.DENY)) == "default"
    assert origin_of(made, Decision(action=Action.DENY, reason="because")) == "because"


def test_the_origin_of_what_is_deferred() -> None:
    """It says that registers do not decide."""
    spec = spec_of(denied("openat", "'filename eq \"/a\"'"))
    (clause,) = spec.tables[0].calls[number("x86_64", "openat") or 0]
    assert (clause.answer, clause.origin) == (DEFER, "needs more than registers")

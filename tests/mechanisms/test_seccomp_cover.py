"""What the seccomp mechanism covers of a policy, and the plan that it makes."""

from __future__ import annotations

import errno
import json

import pytest

from enforcer.arch import ABIS, ARCHES
from enforcer.call import Action, Elevation, Transition
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    LOG,
    SeccompData,
    check,
    disassemble,
    simulate,
)
from enforcer.condition import LOW_HALF, Operator
from enforcer.mechanisms.contract import Extent, Inexpressible, Options, Plan
from enforcer.mechanisms.seccomp import MECHANISM
from enforcer.policy.ast import (
    NotExpression,
    Policy,
    Predicate,
    Principal,
    TextOperator,
    TextSymbol,
)
from enforcer.syscalls import number
from tests.mechanisms.test_seccomp import ABIS_HERE, answer, argument, deny, policy, rule

PARTIAL = Options(partial=True)


def filename(operand: str) -> TextSymbol:
    return TextSymbol(translator="filename", operator=TextOperator.EQ, operand=operand)


def extents(made: Policy) -> list[Extent]:
    return [cover.extent for cover in MECHANISM.cover(made, ARCHES["x86_64"].abis)]


FULL, PARTLY, NONE = Extent.FULL, Extent.PARTIAL, Extent.NONE


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (policy(deny("mkdir"), deny("ioctl", when=argument(1, 5))), [FULL, FULL, FULL]),
        (policy(deny("openat", when=filename("/x"))), [NONE, PARTLY]),
        (policy(deny("openat", when=filename("/x")), default=Action.DENY), [NONE, FULL]),
        (policy(deny("openat", when=filename("/x")), deny("openat")), [NONE, PARTLY, PARTLY]),
        (policy(deny("openat"), deny("openat", when=filename("/x"))), [FULL, FULL, PARTLY]),
        (policy(deny("fsread", when=filename("/x")), deny("mkdir")), [NONE, FULL, PARTLY]),
        (policy(deny("openat", when=NotExpression(filename("/x")))), [NONE, PARTLY]),
        (
            policy(
                rule(
                    Action.DENY,
                    "bind",
                    predicate=Predicate(principal=Principal.USER, operator=Operator.EQ, value=3),
                )
            ),
            [NONE, PARTLY],
        ),
        (policy(rule(Action.PERMIT, "bind", elevation=Elevation(uid=0))), [NONE, FULL]),
        (policy(rule(Action.PERMIT, "execve", transition=Transition.DETACH)), [NONE, FULL]),
        (policy(rule(Action.ASK, "bind")), [FULL, FULL]),
        (
            policy(deny("openat", when=argument(2, 5)), deny("openat", when=filename("/x"))),
            [PARTLY, NONE, PARTLY],
        ),
    ],
)
def test_cover(made: Policy, expected: list[Extent]) -> None:
    """Registers in full, memory not at all, and what memory rules drag along in part."""
    assert extents(made) == expected


def test_alias_that_memory_decides_is_covered_in_part() -> None:
    """openat2 tells in memory whether it reads: the rule stands for every other call."""
    covers = MECHANISM.cover(policy(deny("fsread")), ABIS_HERE)
    assert covers[0].extent is Extent.PARTIAL
    assert covers[0].reason == "memory tells what belongs to the alias: openat2"
    plan = MECHANISM.compile([policy(deny("fsread"))], ABIS_HERE, PARTIAL)
    assert answer(plan, "openat2") == ERRNO(errno.EPERM)
    assert answer(plan, "readlinkat") == ERRNO(errno.EACCES)
    assert MECHANISM.describe(plan).startswith("rule 1: partial, denies too much: memory tells")


def test_cover_says_why_and_how_it_errs() -> None:
    """The reasons name what is read; everything errs by denying."""
    covers = MECHANISM.cover(policy(deny("openat", when=filename("/x"))), ABIS_HERE)
    assert covers[0].reason == "reads memory: filename"
    assert covers[0].rule == 0
    assert covers[-1].rule is None
    assert {cover.errs for cover in covers} == {"denies too much"}
    predicate = Predicate(principal=Principal.USER, operator=Operator.EQ, value=3)
    ids = MECHANISM.cover(policy(rule(Action.DENY, "bind", predicate=predicate)), ABIS_HERE)
    assert ids[0].reason == "depends on who calls"
    many = MECHANISM.cover(policy(deny("fsread", when=filename("/x"))), ABIS_HERE)
    assert "more" in many[-1].reason


def test_inexpressible_is_refused_unless_partial() -> None:
    """Never dropped silently: an exception, or a plan that lists what it lacks and denies it."""
    made = policy(deny("openat", when=filename("/x")))
    with pytest.raises(Inexpressible, match="reads memory"):
        MECHANISM.compile([made], ABIS_HERE, Options())
    plan = MECHANISM.compile([made], ABIS_HERE, PARTIAL)
    lacking = plan.data["inexpressible"]
    assert isinstance(lacking, list)
    assert [entry["errs"] for entry in lacking] == ["denies too much"] * 2
    assert answer(plan, "openat") == ERRNO(errno.EPERM)
    assert answer(plan, "mkdir") == ALLOW


def test_policies_that_differ_are_inexpressible() -> None:
    """A filter cannot switch when another binary is executed."""
    with pytest.raises(Inexpressible, match="differ on connect"):
        MECHANISM.compile([policy(deny("connect")), policy()], ABIS_HERE, Options())
    same = [policy(deny("connect")), policy(deny("connect"))]
    assert answer(MECHANISM.compile(same, ABIS_HERE, Options()), "connect") == ERRNO(13)


def test_answers_of_a_plan() -> None:
    """Kill, log, deny, ask; a denial with `log` asks the kernel to log."""
    made = policy(
        rule(Action.KILL, "mkdir"),
        rule(Action.PERMIT, "rmdir", log=True),
        rule(Action.ASK, "unlink"),
        deny("rename"),
    )
    plan = MECHANISM.compile([made], ABIS_HERE, Options())
    names = ("mkdir", "rmdir", "unlink", "rename", "read")
    assert [answer(plan, name) for name in names] == [
        KILL_PROCESS,
        LOG,
        ERRNO(errno.EPERM),
        ERRNO(errno.EACCES),
        ALLOW,
    ]
    assert plan.data["flags"] == 0
    logged = policy(rule(Action.DENY, "mkdir", log=True, number=errno.EPERM))
    assert MECHANISM.compile([logged], ABIS_HERE, Options()).data["flags"] == 2
    assert answer(MECHANISM.compile([logged], ABIS_HERE, Options()), "mkdir") == ERRNO(1)


def test_elevation_is_not_permitted_without_the_ids() -> None:
    """A call that should be made with other ids is denied, not made with one's own."""
    made = policy(rule(Action.PERMIT, "bind", elevation=Elevation(uid=0)))
    plan = MECHANISM.compile([made], ABIS_HERE, PARTIAL)
    assert answer(plan, "bind") == ERRNO(errno.EPERM)


def test_plan_is_json_and_describes_itself() -> None:
    """The plan survives JSON, and its description is the listing of the filter."""
    made = policy(deny("ioctl", when=argument(1, 0x5412, LOW_HALF)))
    plan = MECHANISM.compile([made], ARCHES["x86_64"].abis, Options())
    again = json.loads(json.dumps(plan.to_json()))
    assert again == plan.to_json()
    copy = Plan(mechanism=again["mechanism"], machine=again["machine"], data=again["data"])
    text = MECHANISM.describe(copy)
    assert "TIOCSTI" in text
    assert "ret   KILL_PROCESS" in text


def test_plan_for_a_big_endian_machine() -> None:
    """Plans are compiled for the machine they run on, not for this one."""
    made = policy(deny("ioctl", when=argument(1, 0x5412)))
    plan = MECHANISM.compile([made], ARCHES["s390x"].abis, Options())
    program = disassemble(bytes.fromhex(str(plan.data["program"])), big_endian=True)
    check(program)
    nr = number("s390x", "ioctl")
    assert nr is not None
    data = SeccompData(nr, ABIS["s390x"].audit_arch, (0, 0x5412, 0, 0, 0, 0))
    assert simulate(program, data)[0] == ERRNO(errno.EACCES)

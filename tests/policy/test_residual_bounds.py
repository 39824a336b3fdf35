"""What registers alone decide: joined expressions, predicates, aliases, several policies."""

from __future__ import annotations

import errno

import pytest

from enforcer.call import Action, Decision
from enforcer.condition import TRUE, Any, Compare, Condition, Not, Operator
from enforcer.policy.parser import parse_systrace, parse_yaml
from enforcer.policy.residual import Clause, joined, residual

READS = Compare(0, Operator.EQ, 1)
"""`arg[0] == 1`, known; a file name is not."""


Answers = list[tuple[Condition, str]]


def clauses(text: str, name: str = "stat", *, registers: bool = True) -> Answers:
    policy = parse_yaml(text, "x")
    return [
        (clause.when, "defer" if clause.decision is None else str(clause.decision.action))
        for clause in residual(policy, name, registers=registers)
    ]


def permit(when: str, call: str = "stat") -> str:
    return f"default: deny\nrules:\n  - permit: {call}\n    when: '{when}'\n"


KNOWN, UNKNOWN = "arg[0] == 1", 'filename eq "/a"'


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (KNOWN, [(READS, "permit"), (TRUE, "deny")]),
        (UNKNOWN, [(TRUE, "defer")]),
        (f"{KNOWN} and {UNKNOWN}", [(READS, "defer"), (TRUE, "deny")]),
        (f"{UNKNOWN} and {KNOWN}", [(READS, "defer"), (TRUE, "deny")]),
        (f"{KNOWN} or {UNKNOWN}", [(READS, "permit"), (TRUE, "defer")]),
        (f"{UNKNOWN} or {KNOWN}", [(READS, "permit"), (TRUE, "defer")]),
        (f"not {KNOWN}", [(Not(READS), "permit"), (TRUE, "deny")]),
        (f"not {UNKNOWN}", [(TRUE, "defer")]),
        (f"not ({KNOWN} and {UNKNOWN})", [(Not(READS), "permit"), (TRUE, "defer")]),
        (f"not ({KNOWN} or {UNKNOWN})", [(Not(READS), "defer"), (TRUE, "deny")]),
        ('call eq "stat"', [(TRUE, "permit")]),
        ('call neq "stat"', [(TRUE, "deny")]),
        ("true", [(TRUE, "permit")]),
        ("not true", [(TRUE, "deny")]),
        (f"true and {UNKNOWN}", [(TRUE, "defer")]),
        (f"true or {UNKNOWN}", [(TRUE, "permit")]),
        (f"not true and {UNKNOWN}", [(TRUE, "deny")]),
    ],
)
def test_expressions(when: str, expected: Answers) -> None:
    """For certain where both bounds agree, deferred between them, refused beyond."""
    assert clauses(permit(when)) == expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (KNOWN, [(TRUE, "defer")]),
        ('call eq "stat"', [(TRUE, "permit")]),
        ("true", [(TRUE, "permit")]),
        ('call neq "stat"', [(TRUE, "deny")]),
        (f"{KNOWN} or true", [(TRUE, "permit")]),
    ],
)
def test_where_registers_hold_no_arguments(when: str, expected: Answers) -> None:
    """socketcall's calls: a name is known all the same."""
    assert clauses(permit(when), registers=False) == expected


def test_text_of_registers_that_hold_no_arguments() -> None:
    """A descriptor in memory is as unknown as a file name."""
    text = permit('fd eq "3"', "close")
    assert clauses(text, "close", registers=False) == [(TRUE, "defer")]
    assert clauses(text, "close")[0][1] == "permit"


@pytest.mark.parametrize(
    ("name", "registers", "expected"),
    [
        ("stat", True, [(TRUE, "permit")]),
        ("stat", False, [(TRUE, "permit")]),
        ("open", True, [(Compare(1, Operator.EQ, 0, 0o1103), "permit"), (TRUE, "deny")]),
        ("open", False, [(TRUE, "defer")]),
        ("openat2", True, [(TRUE, "defer")]),
        ("mkdir", True, [(TRUE, "deny")]),
        ("bind", True, [(TRUE, "deny")]),
    ],
)
def test_memberships(name: str, registers: bool, expected: Answers) -> None:
    """Certain, by a register, by memory, or none."""
    text = "default: deny\nrules: [{permit: fsread}]"
    assert clauses(text, name, registers=registers) == expected


def test_either_membership_is_every_open() -> None:
    """Reading or writing covers all flags."""
    text = "default: deny\nrules: [{permit: [fsread, fswrite]}]"
    (first, *_) = clauses(text, "open")
    reads = Compare(1, Operator.EQ, 0, 0o1103)
    writes = Compare(1, Operator.NE, 0, 0o1103)
    assert first == (Any((reads, writes)), "permit")


def test_predicates_are_unknown() -> None:
    """The caller's ids are in no register, whatever else holds."""
    text = "default: deny\nrules:\n  - permit: read\n    if: user = root\n    when: arg[0] == 1\n"
    assert clauses(text, "read") == [(READS, "defer"), (TRUE, "deny")]
    text = "default: deny\nrules:\n  - permit: fsread\n    if: user = root\n"
    assert clauses(text) == [(TRUE, "defer")]


def test_whole_answers() -> None:
    """Unknown calls, carriers, detached policies and rules as `decide` answers them."""
    policy = parse_yaml("default: deny[erofs]\nrules:\n  - kill: read\n    log: true\n", "x")
    for name, reason in (
        ("no_such_call", "unknown call no_such_call"),
        ("io_uring_enter", "io_uring_enter performs other calls unseen"),
    ):
        enosys = Decision(action=Action.DENY, errno=errno.ENOSYS, reason=reason)
        assert residual(policy, name) == (Clause(TRUE, enosys),)
    assert residual(policy, "read") == (
        Clause(TRUE, Decision(action=Action.KILL, rule=0, log=True)),
    )
    assert residual(policy, "write") == (
        Clause(TRUE, Decision(action=Action.DENY, errno=errno.EROFS, reason="default")),
    )
    (detached,) = parse_systrace("Policy: *, Emulation: native\ndetached\nnative-read: deny\n", "x")
    assert residual(detached, "read") == (
        Clause(TRUE, Decision(action=Action.PERMIT, reason="the policy is detached")),
    )


def test_the_first_rule_that_is_certain_ends_the_list() -> None:
    """What stands behind it is never reached; equal answers that follow each other are one."""
    rules = "default: deny\nrules:\n"
    for number, action in ((1, "permit"), (2, "permit"), (3, "kill")):
        rules += f"  - {action}: read\n    when: arg[0] == {number}\n"
    first, second, third = (Compare(0, Operator.EQ, number) for number in (1, 2, 3))
    assert clauses(rules, "read") == [
        (first, "permit"),
        (second, "permit"),
        (third, "kill"),
        (TRUE, "deny"),
    ]
    assert clauses(rules + "  - permit: read\n  - kill: read\n", "read")[-1] == (TRUE, "permit")
    deferred = "default: deny\nrules:\n" + "".join(
        f"  - permit: stat\n    when: 'arg[0] == {number} and {UNKNOWN}'\n" for number in (1, 2)
    )
    assert clauses(deferred) == [(Any((first, second)), "defer"), (TRUE, "deny")]
    same = "default: deny\nrules:\n" + "  - permit: stat\n    when: 'filename eq \"/a\"'\n" * 2
    assert clauses(same) == [(TRUE, "defer")]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("deny", "deny", "deny"),
        ("deny[erofs]", "deny[erofs]", "deny"),
        ("deny[erofs]", "deny[eacces]", "defer"),
        ("permit", "permit", "permit"),
        ("permit", "deny", "defer"),
        ("kill", "deny", "defer"),
        ("ask", "deny", "defer"),
    ],
)
def test_two_policies(one: str, other: str, expected: str) -> None:
    """They agree if answer and errno are the same, by whatever rule."""
    first = parse_yaml(f"default: permit\nrules:\n  - {one}: read\n", "1")
    second = parse_yaml(f"default: permit\nrules:\n  - permit: write\n  - {other}: read\n", "2")
    default = parse_yaml(f"default: {other}\nrules: []\n", "3")
    for policies in ((first, second), (second, first), (first, default), (first, first, second)):
        (clause,) = joined(policies, "read")
        said = "defer" if clause.decision is None else str(clause.decision.action)
        assert (clause.when, said) == (TRUE, expected)


@pytest.mark.parametrize("extra", ["log: true", "as: 0:0"])
def test_two_policies_that_differ_beside_the_answer(extra: str) -> None:
    """What one logs, or makes with other ids, the other does not."""
    plain = parse_yaml("default: deny\nrules: [{permit: read}]\n", "1")
    more = parse_yaml(f"default: deny\nrules:\n  - permit: read\n    {extra}\n", "2")
    for policies in ((plain, more), (more, plain)):
        assert [clause.decision for clause in joined(policies, "read")] == [None]
    assert joined((more, more), "read")[0].decision is not None


def test_three_policies_are_joined_in_full() -> None:
    """One that differs is enough, wherever it stands."""
    same = parse_yaml("default: deny\nrules: [{permit: read}]\n", "1")
    other = parse_yaml("default: deny\nrules: []\n", "2")
    for policies in ((same, same, other), (same, other, same), (other, same, same)):
        assert [clause.decision for clause in joined(policies, "read")] == [None]


def test_an_undecided_clause_stays_so() -> None:
    """What one policy defers is deferred for both."""
    known = parse_yaml("default: deny\nrules: [{permit: stat}]\n", "1")
    unknown = parse_yaml(permit(UNKNOWN), "2")
    for policies in ((known, unknown), (unknown, known), (unknown, unknown)):
        assert [(clause.when, clause.decision) for clause in joined(policies, "stat")] == [
            (TRUE, None)
        ]


def test_memory_behind_registers_of_two_policies() -> None:
    """`registers` and the ABI are those of every policy."""
    policy = parse_yaml(permit(KNOWN, "read"), "1")
    other = parse_yaml("default: deny\nrules: []\n", "2")
    for policies in ((policy,), (policy, policy)):
        assert [each.decision for each in joined(policies, "read", registers=False)] == [None]
    assert [clause.when for clause in joined((other, policy), "read", registers=False)] == [TRUE]
    flags = parse_yaml(permit('flags sub "CLONE_NEWUSER"', "clone"), "3")
    for abi, argument in (("x86_64", 0), ("s390x", 1)):
        (first, *_) = joined((flags, flags), "clone", abi=abi)
        assert isinstance(first.when, Compare)
        assert first.when.argument == argument

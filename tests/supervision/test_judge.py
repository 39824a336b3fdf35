"""Who stands beside a policy's word: a person who is asked, and whoever learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from errno import EACCES, ENOSYS, EPERM

import pytest

from enforcer.call import Action, Decision
from enforcer.policy import parse_yaml
from enforcer.policy.ast import Dialect, Policy, Rule
from enforcer.supervision.judge import Judge, Values

REGISTERS = (0,) * 6
POLICY = Policy(
    binary=None,
    dialect=Dialect.STRICT,
    rules=(
        Rule(calls=("mkdir",), when=None, action=Action.PERMIT),
        Rule(calls=("rmdir",), when=None, action=Action.DENY, errno=EACCES),
    ),
    default=Action.ASK,
)


class _Person:
    """Permits what it is asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def can_hold(self, name: str, needs: frozenset[str]) -> bool:
        return True

    def ask(self, name: str, args: Sequence[int], values: Values, decision: Decision) -> Decision:
        self.asked.append(name)
        return replace(decision, action=Action.PERMIT)


@pytest.mark.parametrize(
    ("call", "alone", "asked", "refusal"),
    [
        ("mkdir", Action.PERMIT, Action.PERMIT, 0),
        ("rmdir", Action.DENY, Action.DENY, EACCES),
        ("unlink", Action.ASK, Action.PERMIT, EPERM),
    ],
)
def test_a_person_is_asked_where_the_policy_asks_and_nowhere_else(
    call: str, alone: Action, asked: Action, refusal: int
) -> None:
    """Alone an `ask` is a refusal with EPERM; the person's answer takes its place."""
    assert Judge(POLICY).decide(call, REGISTERS, {}).action is alone
    assert Judge(POLICY).decide(call, REGISTERS, {}).refusal == refusal
    person = _Person()
    decision = Judge(POLICY, asker=person).decide(call, REGISTERS, {})
    assert decision.action is asked
    assert person.asked == (["unlink"] if alone is Action.ASK else [])


@pytest.mark.parametrize(
    ("call", "would_be"),
    [("mkdir", None), ("rmdir", Action.DENY), ("unlink", Action.ASK), ("io_uring_setup", None)],
)
def test_a_permissive_judge_permits_what_it_says_it_would_refuse(
    call: str, would_be: Action | None
) -> None:
    """All but what nobody could see the doings of, which stays refused."""
    alone = Judge(POLICY).decide(call, REGISTERS, {})
    decision = Judge(POLICY, permissive=True).decide(call, REGISTERS, {})
    if call == "io_uring_setup":
        assert decision == alone
        assert decision.refusal == ENOSYS
    else:
        assert decision.action is Action.PERMIT
        assert decision.would_be is would_be
        assert decision.log is (would_be is not None)
        assert decision.rule == alone.rule


@pytest.mark.parametrize(
    ("rules", "call", "is_known"),
    [
        ('- permit: stat\n    when: filename match "/*"', "stat", True),
        ('- deny: stat\n    when: filename match "/secret"\n  - permit: stat', "stat", True),
        ('- permit: connect\n    when: sockaddr match "/*"', "connect", True),
        ("- permit: mkdir\n    if: user = 0\n  - permit: stat", "stat", True),
        ('- permit: stat\n    when: filename match "/*"\n    log: true', "stat", False),
        ('- deny: stat\n    when: filename match "/*"', "stat", False),
        ("- permit: stat\n    if: user = 0", "stat", False),
        ("- permit: access\n    when: arg[1] == 0\n  - permit: access", "access", False),
        ("- permit: stat\n    as: root", "stat", False),
        ('- ask: stat\n    when: filename eq "/x"\n  - permit: stat', "stat", False),
    ],
)
def test_only_permissions_that_hang_on_the_name_alone_are_remembered(
    rules: str, call: str, is_known: bool
) -> None:
    """Who calls and what its registers say may differ the next time; the rest has more to be done.

    What a person may answer otherwise the next time is not remembered either.
    """
    judge = Judge(parse_yaml(f"default: deny\nrules:\n  {rules}\n", "test"), asker=_Person())
    texts = {"filename": ("/file",), "sockaddr": ("/file",)}
    decision = judge.decide(call, REGISTERS, texts)
    judge.remember(call, b"/file", decision)
    assert judge.known[call] == ({b"/file": decision} if is_known else {})


def test_what_is_known_is_bounded() -> None:
    """A target that makes names up does not fill its supervisor's memory."""
    judge = Judge(parse_yaml("default: permit\nrules:\n  - permit: stat\n", "test"))
    permit = Decision(action=Action.PERMIT)
    for number in range(40_000):
        judge.remember("stat", b"%d" % number, permit)
        assert b"%d" % number in judge.known["stat"]
    assert len(judge.known["stat"]) < 20_000
    judge.remember("stat", b"x" * 4000, permit)
    assert max(map(len, judge.known["stat"])) < 1000


def test_so_many_names_are_known_at_once() -> None:
    """A program goes over 10,000 names again and again: none is forgotten meanwhile."""
    judge = Judge(parse_yaml("default: permit\nrules:\n  - permit: stat\n", "test"))
    for number in range(10_000):
        judge.remember("stat", b"/%d" % number, Decision(action=Action.PERMIT))
    assert len(judge.known["stat"]) == 10_000

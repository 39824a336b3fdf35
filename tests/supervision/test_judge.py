"""Who stands beside a policy's word: a person who is asked, and whoever learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from errno import EACCES, EPERM

import pytest

from enforcer.call import Action, Decision
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


class _Learner:
    def __init__(self) -> None:
        self.seen: list[tuple[str, Action, Values]] = []

    def record(self, name: str, args: Sequence[int], values: Values, decision: Decision) -> None:
        self.seen.append((name, decision.action, values))


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


def test_whoever_learns_sees_every_decision_as_it_was_answered() -> None:
    """With the texts that were judged, and a person's answer rather than `ask`."""
    learner = _Learner()
    judge = Judge(POLICY, asker=_Person(), recorder=learner)
    values = {"filename": ("/x",)}
    for call in ("mkdir", "rmdir", "unlink"):
        judge.decide(call, REGISTERS, values, 0, 0, 0, "x86_64")
    answers = [("mkdir", Action.PERMIT), ("rmdir", Action.DENY), ("unlink", Action.PERMIT)]
    assert learner.seen == [(call, action, values) for call, action in answers]

"""What a verdict says beside its kind: reasons, numbers, references, and what is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import Observation, Outcome, RunKind, VerdictKind
from harness.odds import attempts_needed, win_rate_bound
from harness.oracle import Evidence, judge
from tests.harness.judging import (
    ATTACK,
    CONTROL,
    CRASHED,
    DIRECT_CONTROL,
    ENFORCING,
    KILLED,
    NOT_EVER,
    NOT_HERE,
    REFERENCE,
    evidence,
)


def test_bound_stands_for_races_only() -> None:
    """A deterministic attack has no win rate, and a killed race made no countable attempts."""
    assert judge(evidence()).bound == pytest.approx(win_rate_bound(100))
    assert judge(evidence(race=False)).bound is None
    assert judge(evidence(replace(CRASHED, signal=9))).bound is None


def test_a_kill_is_told() -> None:
    """It is the enforcer's answer to the attack, which made no attempt that could be counted."""
    killed = replace(CRASHED, signal=9, detail="killed by SIGKILL", events=(ENFORCING, KILLED))
    verdict = judge(evidence(killed, race=False))
    assert verdict.kind is VerdictKind.HELD
    assert "killed by SIGKILL before any effect" in verdict.reason


def test_wins_are_counted() -> None:
    """A bypass that was seen has at least one win, whatever the program counts."""
    seen = replace(ATTACK, effect=True, outcome=Outcome.EFFECT)
    assert judge(evidence(replace(seen, wins=7))).wins == 7
    assert judge(evidence(seen)).wins == 1


def test_a_held_race_names_its_reference() -> None:
    """The reason has the bound, the leaky backend, its losses and where they were measured."""
    reason = judge(evidence()).reason
    assert "win rate below 3.0%, one-sided 95 %" in reason
    assert "leaky-one lost 50 of 100 (this run)" in reason


def test_too_few_attempts_are_no_verdict() -> None:
    """The reason says how many would do, and with that many the race is held."""
    reference = replace(REFERENCE, wins=4)
    verdict = judge(evidence(reference=reference))
    assert verdict.kind is VerdictKind.BROKEN
    assert verdict.bound is None
    needed = attempts_needed(100, 4)
    assert needed is not None
    assert needed > 100
    assert f"{needed} attempts are needed" in verdict.reason
    many = replace(ATTACK, attempts=needed)
    assert judge(evidence(many, reference=reference)).kind is VerdictKind.HELD
    fewer = replace(ATTACK, attempts=needed - 1)
    assert judge(evidence(fewer, reference=reference)).kind is VerdictKind.BROKEN


def test_who_is_not_walled_in_is_told() -> None:
    """At every verdict on runs that there were, whatever it is; where nothing ran, nothing could
    be reached.
    """
    told = "not walled in: the target could reach the agent"
    for each in (
        evidence(reachable="the agent"),
        evidence(replace(ATTACK, effect=True), reachable="the agent"),
        evidence(without=RunKind.BENIGN, reachable="the agent"),
    ):
        assert told in judge(each).reason
    assert "walled" not in judge(Evidence(observations={}, broken="x", reachable="it")).reason
    assert "walled" not in judge(evidence()).reason


@pytest.mark.parametrize("run", [CONTROL, DIRECT_CONTROL], ids=lambda run: run.kind)
def test_what_is_unsupported_says_so_itself(run: Observation) -> None:
    """In the program's words, where it has any."""
    lacking = replace(run, outcome=Outcome.UNSUPPORTED, effect=False, detail="no such call")
    assert judge(evidence(lacking)).reason == "no such call"
    assert "unsupported here" in judge(evidence(replace(lacking, detail=""))).reason


def test_what_is_expressible_elsewhere_is_told_apart() -> None:
    """A rule that only this machine cannot keep contradicts no expectation."""
    assert judge(evidence(inexpressible=NOT_HERE)).elsewhere
    assert not judge(evidence(inexpressible=NOT_EVER)).elsewhere


START = {
    "event": "start",
    "inexpressible": [
        {"rule": 1, "extent": "partial", "reason": "flags in memory", "errs": "permits too much"},
        {"rule": None, "extent": "none", "reason": "no default", "errs": ""},
    ],
}


def test_what_is_not_enforced_in_full_is_told() -> None:
    """The enforcer's own word on its rules is in the reason of held and bypassed alike."""
    told = (
        "enforced in part: rule 2 partial (permits too much): flags in memory; "
        "the default none: no default"
    )
    attack = replace(ATTACK, events=(START, *ATTACK.events))
    assert told in judge(evidence(attack)).reason
    assert told in judge(evidence(replace(attack, effect=True, wins=1))).reason
    assert "in part" not in judge(evidence()).reason


@pytest.mark.parametrize(
    ("run", "limit"),
    [
        (replace(CONTROL, outcome=Outcome.HUNG, effect=False), "timeout_s"),
        (replace(CONTROL, outcome=Outcome.CRASHED, signal=25, effect=False), "file_bytes"),
    ],
    ids=("time", "size"),
)
def test_a_limit_that_was_reached_is_named(run: Observation, limit: str) -> None:
    """As the scenario spells it."""
    assert f"`{limit}` of the scenario's `limits`" in judge(evidence(run)).reason

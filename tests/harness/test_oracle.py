"""The oracle: every branch by table, and "held" without every control is impossible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import Observation, Outcome, RunKind, VerdictKind
from harness.oracle import Evidence, judge
from tests.harness.judging import (
    ACT,
    AGAIN,
    ALL,
    ATTACK,
    BENIGN,
    CONTROL,
    CRASHED,
    DENIED,
    DETECTED,
    DIRECT,
    DIRECT_CONTROL,
    END,
    ENFORCING,
    FAILED,
    KILLED,
    NOT_EVER,
    NOT_HERE,
    PERMITTED,
    REFERENCE,
    evidence,
    log,
)

TABLE = [
    ("all controls in place", evidence(), VerdictKind.HELD),
    ("build failed", evidence(broken="no compiler"), VerdictKind.BROKEN),
    ("rule without expression", evidence(inexpressible=NOT_EVER), VerdictKind.INEXPRESSIBLE),
    ("rule without expression here", evidence(inexpressible=NOT_HERE), VerdictKind.INEXPRESSIBLE),
    (
        "a kernel without what the enforcer needs",
        evidence(replace(BENIGN, outcome=Outcome.UNAVAILABLE, effect=False, events=())),
        VerdictKind.INAPPLICABLE,
    ),
    (
        "a kernel without what the attack needs",
        Evidence(observations={CONTROL.kind: replace(CONTROL, outcome=Outcome.UNAVAILABLE)}),
        VerdictKind.INAPPLICABLE,
    ),
    ("no control", evidence(without=RunKind.CONTROL), VerdictKind.BROKEN),
    ("no benign twin", evidence(without=RunKind.BENIGN), VerdictKind.BROKEN),
    ("no direct attempt", evidence(without=RunKind.DIRECT), VerdictKind.BROKEN),
    ("no attack", evidence(without=RunKind.ATTACK), VerdictKind.BROKEN),
    ("no bare direct attempt", evidence(without=RunKind.DIRECT_CONTROL), VerdictKind.BROKEN),
    (
        "no second control of what is no race",
        evidence(without=RunKind.CONTROL_AGAIN, race=False),
        VerdictKind.BROKEN,
    ),
    ("a race has a rate of its own", evidence(without=RunKind.CONTROL_AGAIN), VerdictKind.HELD),
    (
        "an effect that comes and goes",
        evidence(replace(AGAIN, effects=1), race=False),
        VerdictKind.INAPPLICABLE,
    ),
    (
        "an effect that comes late",
        evidence(replace(CONTROL, effect=False), race=False),
        VerdictKind.INAPPLICABLE,
    ),
    (
        "the direct attempt has no effect bare either",
        evidence(replace(DIRECT_CONTROL, effect=False, outcome=Outcome.BLOCKED, errno=13)),
        VerdictKind.INAPPLICABLE,
    ),
    (
        "the direct attempt crashes bare",
        evidence(replace(DIRECT_CONTROL, effect=False, outcome=Outcome.CRASHED, signal=11)),
        VerdictKind.INAPPLICABLE,
    ),
    (
        "the direct attempt is unsupported here",
        evidence(replace(DIRECT_CONTROL, effect=False, outcome=Outcome.UNSUPPORTED)),
        VerdictKind.INAPPLICABLE,
    ),
    (
        "the direct attempt hangs bare",
        evidence(replace(DIRECT_CONTROL, effect=False, outcome=Outcome.HUNG)),
        VerdictKind.BROKEN,
    ),
    (
        "control without effect",
        evidence(replace(CONTROL, effect=False, outcome=Outcome.SILENT)),
        VerdictKind.INAPPLICABLE,
    ),
    (
        "control unsupported",
        evidence(replace(CONTROL, effect=False, outcome=Outcome.UNSUPPORTED)),
        VerdictKind.INAPPLICABLE,
    ),
    ("control hung", evidence(replace(CONTROL, outcome=Outcome.HUNG)), VerdictKind.BROKEN),
    ("control crashed", evidence(replace(CONTROL, outcome=Outcome.CRASHED)), VerdictKind.BROKEN),
    ("control broken", evidence(replace(CONTROL, outcome=Outcome.BROKEN)), VerdictKind.BROKEN),
    (
        "benign twin refused",
        evidence(replace(BENIGN, effect=False, outcome=Outcome.BLOCKED, errno=13)),
        VerdictKind.OVERBLOCKED,
    ),
    (
        "benign twin killed",
        evidence(replace(BENIGN, effect=False, finished=False, outcome=Outcome.CRASHED, signal=31)),
        VerdictKind.OVERBLOCKED,
    ),
    (
        "benign twin served, then killed",
        evidence(replace(BENIGN, finished=False, signal=9)),
        VerdictKind.OVERBLOCKED,
    ),
    (
        "benign twin hung",
        evidence(replace(BENIGN, effect=False, outcome=Outcome.HUNG)),
        VerdictKind.BROKEN,
    ),
    (
        "direct attempt succeeds",
        evidence(replace(DIRECT, effect=True, outcome=Outcome.EFFECT)),
        VerdictKind.NOT_ENFORCING,
    ),
    (
        "direct attempt crashes by itself",
        evidence(replace(DIRECT, finished=False, outcome=Outcome.CRASHED, signal=11)),
        VerdictKind.BROKEN,
    ),
    (
        "direct attempt is killed by the filter",
        evidence(replace(DIRECT, finished=False, outcome=Outcome.CRASHED, signal=31)),
        VerdictKind.HELD,
    ),
    (
        "direct attempt dies of SIGSYS without a filter",
        evidence(
            replace(
                DIRECT,
                finished=False,
                outcome=Outcome.CRASHED,
                signal=31,
                events=({"event": "enforcing"},),
            )
        ),
        VerdictKind.BROKEN,
    ),
    (
        "direct attempt is killed, nobody says by whom",
        evidence(replace(DIRECT, finished=False, outcome=Outcome.CRASHED, signal=9)),
        VerdictKind.BROKEN,
    ),
    (
        "no witness in the benign run",
        evidence(replace(BENIGN, events=())),
        VerdictKind.NOT_ENFORCING,
    ),
    (
        "no witness in the direct run",
        evidence(replace(DIRECT, events=(DENIED,))),
        VerdictKind.NOT_ENFORCING,
    ),
    (
        "no witness in the attack's run",
        evidence(replace(ATTACK, events=(DENIED,))),
        VerdictKind.NOT_ENFORCING,
    ),
    (
        "effect of the attack",
        evidence(replace(ATTACK, effect=True, outcome=Outcome.EFFECT, wins=3)),
        VerdictKind.BYPASSED,
    ),
    (
        "effect of an attack that never ended",
        evidence(replace(ATTACK, effect=True, finished=False, outcome=Outcome.EFFECT)),
        VerdictKind.BYPASSED,
    ),
    ("wins that nobody saw", evidence(replace(ATTACK, wins=2)), VerdictKind.BROKEN),
    (
        "attack hung",
        evidence(replace(ATTACK, finished=False, outcome=Outcome.HUNG)),
        VerdictKind.BROKEN,
    ),
    (
        "attack crashed by itself",
        evidence(replace(ATTACK, finished=False, outcome=Outcome.CRASHED, signal=6)),
        VerdictKind.BROKEN,
    ),
    (
        "attack unsupported under the enforcer only",
        evidence(replace(ATTACK, finished=False, outcome=Outcome.UNSUPPORTED)),
        VerdictKind.BROKEN,
    ),
    (
        "attack killed by the enforcer",
        evidence(replace(CRASHED, signal=9, events=(ENFORCING, KILLED)), race=False),
        VerdictKind.HELD,
    ),
    (
        "attack killed for an interference",
        evidence(replace(CRASHED, signal=9, events=(ENFORCING, DETECTED)), race=False),
        VerdictKind.HELD,
    ),
    (
        "attack killed by the filter",
        evidence(replace(CRASHED, signal=31, events=(ENFORCING,)), race=False),
        VerdictKind.HELD,
    ),
    (
        "attack killed by somebody",
        evidence(replace(CRASHED, signal=9, events=(ENFORCING, DENIED)), race=False),
        VerdictKind.BROKEN,
    ),
    (
        "attack killed because the supervisor failed",
        evidence(
            replace(CRASHED, signal=9, events=(ENFORCING, {"event": "detection"})), race=False
        ),
        VerdictKind.BROKEN,
    ),
    (
        "attack refused by an enforcer that failed",
        evidence(replace(ATTACK, events=(ENFORCING, FAILED)), race=False),
        VerdictKind.BROKEN,
    ),
    (
        "direct attempt refused by an enforcer that failed",
        evidence(replace(DIRECT, events=(ENFORCING, FAILED)), race=False),
        VerdictKind.BROKEN,
    ),
    (
        "permitted work that the enforcer failed at",
        evidence(replace(BENIGN, finished=False, effect=False, events=(ENFORCING, FAILED))),
        VerdictKind.BROKEN,
    ),
    (
        "attack that gets through because the enforcer failed",
        evidence(replace(ATTACK, effect=True, events=(ENFORCING, FAILED)), race=False),
        VerdictKind.BYPASSED,
    ),
    (
        "direct attempt that gets through because the enforcer failed",
        evidence(replace(DIRECT, effect=True, events=(ENFORCING, FAILED)), race=False),
        VerdictKind.NOT_ENFORCING,
    ),
    (
        "a race that was killed, by whomever",
        evidence(replace(CRASHED, signal=9, events=(ENFORCING, KILLED))),
        VerdictKind.BROKEN,
    ),
    (
        "a leaky enforcer that kills the race",
        evidence(
            replace(CRASHED, signal=9, events=(ENFORCING, KILLED)), leaky=True, reference=None
        ),
        VerdictKind.BROKEN,
    ),
    (
        "killed at the limit of time is no kill by the enforcer",
        evidence(replace(ATTACK, finished=False, outcome=Outcome.HUNG, signal=9)),
        VerdictKind.BROKEN,
    ),
    (
        "... whatever the enforcer killed before",
        evidence(
            replace(CRASHED, outcome=Outcome.HUNG, signal=9, events=(ENFORCING, KILLED)),
            race=False,
        ),
        VerdictKind.BROKEN,
    ),
    (
        "a fault of the program's own, whatever the enforcer killed before",
        evidence(replace(CRASHED, signal=11, events=(ENFORCING, KILLED)), race=False),
        VerdictKind.BROKEN,
    ),
    ("too few attempts", evidence(replace(ATTACK, attempts=99)), VerdictKind.BROKEN),
    ("no leaky enforcer lost this race", evidence(reference=None), VerdictKind.BROKEN),
    (
        "the leaky enforcer never lost this race",
        evidence(reference=replace(REFERENCE, wins=0)),
        VerdictKind.BROKEN,
    ),
    (
        "the leaky enforcer might have held as long",
        evidence(reference=replace(REFERENCE, wins=4)),
        VerdictKind.BROKEN,
    ),
    ("a leaky backend needs no other", evidence(reference=None, leaky=True), VerdictKind.HELD),
    (
        "no leaky enforcer lost to this one act",
        evidence(reference=None, race=False),
        VerdictKind.BROKEN,
    ),
    (
        "the leaky enforcer held this one act",
        evidence(reference=replace(REFERENCE, attempts=1, wins=0), race=False),
        VerdictKind.BROKEN,
    ),
    (
        "the leaky enforcer lost this one act",
        evidence(reference=replace(REFERENCE, attempts=1, wins=1), race=False),
        VerdictKind.HELD,
    ),
    (
        "a race that always wins from the leaky enforcer is none",
        evidence(reference=replace(REFERENCE, wins=100)),
        VerdictKind.BROKEN,
    ),
    ("as many judged as tried", evidence(log(DENIED, END), counted=True), VerdictKind.HELD),
    (
        "fewer judged than tried",
        evidence(log(DENIED, {**END, "judged": {"openat": 99, "stat": 900}}), counted=True),
        VerdictKind.BROKEN,
    ),
    (
        "no count of the judged",
        evidence(log(DENIED, {"event": "end"}), counted=True),
        VerdictKind.BROKEN,
    ),
    ("no end of the log", evidence(counted=True), VerdictKind.BROKEN),
    (
        "the log has the permission only",
        evidence(log(PERMITTED), log_required=True),
        VerdictKind.UNLOGGED,
    ),
    (
        "the log has another call",
        evidence(log({**DENIED, "call": "mkdir"}), log_required=True),
        VerdictKind.UNLOGGED,
    ),
    (
        "the log has another object",
        evidence(log({**DENIED, "values": {"filename": ["/srv/shut/object2"]}}), log_required=True),
        VerdictKind.UNLOGGED,
    ),
    (
        "the log has no object",
        evidence(log({**DENIED, "values": {}}), log_required=True),
        VerdictKind.UNLOGGED,
    ),
    (
        "the log has what is beneath the object",
        evidence(
            log({**DENIED, "values": {"filename": ["/srv/shut/object/new"]}}), log_required=True
        ),
        VerdictKind.HELD,
    ),
    (
        "the log has a call of the tracer's",
        evidence(log({**DENIED, "pid": 4}), log_required=True),
        VerdictKind.UNLOGGED,
    ),
    (
        "the direct attempt is not in its log",
        evidence(replace(DIRECT, events=(ENFORCING,)), log_required=True),
        VerdictKind.UNLOGGED,
    ),
    (
        "each run is in its log with a call of its own",
        evidence(
            replace(DIRECT, events=(ENFORCING, {**DENIED, "call": "mkdir"})),
            log_required=True,
            direct=replace(ACT, calls=frozenset({"mkdir"})),
        ),
        VerdictKind.HELD,
    ),
    ("the log has the attempt", evidence(log_required=True), VerdictKind.HELD),
    (
        "the log has a detection",
        evidence(replace(ATTACK, events=(ENFORCING, DETECTED)), log_required=True),
        VerdictKind.HELD,
    ),
    (
        "no log is asked for",
        evidence(replace(ATTACK, events=(ENFORCING,))),
        VerdictKind.HELD,
    ),
    (
        "runs under each other's names",
        Evidence(observations={**ALL, RunKind.ATTACK: BENIGN}),
        VerdictKind.BROKEN,
    ),
]


@pytest.mark.parametrize(
    ("given_evidence", "expected"),
    [pytest.param(each, kind, id=name) for name, each, kind in TABLE],
)
def test_every_branch(given_evidence: Evidence, expected: VerdictKind) -> None:
    """Each combination of observations has the verdict that design section 6 gives it."""
    assert judge(given_evidence).kind is expected


observations = st.builds(
    Observation,
    kind=st.sampled_from(RunKind),
    outcome=st.sampled_from(Outcome),
    effect=st.booleans(),
    signal=st.sampled_from([None, 9, 11, 31]),
    finished=st.booleans(),
    errno=st.sampled_from([0, 13]),
    attempts=st.integers(0, 200),
    wins=st.sampled_from([0, 1]),
    events=st.lists(st.sampled_from([ENFORCING, DENIED, PERMITTED, KILLED]), max_size=3).map(tuple),
    effects=st.integers(0, 1),
)


@given(
    runs=st.dictionaries(st.sampled_from(RunKind), observations),
    log_required=st.booleans(),
    race=st.booleans(),
)
def test_held_needs_every_control(
    runs: dict[RunKind, Observation], log_required: bool, race: bool
) -> None:
    """Whatever the observations, held means: effect without enforcer, twin served, act denied,
    enforcement witnessed three times, and nothing seen of the attack."""
    evidence = Evidence(
        observations=runs,
        attempts=100,
        log_required=log_required,
        race=race,
        reference=REFERENCE,
        direct=ACT,
        attack=ACT,
    )
    verdict = judge(evidence)
    if verdict.kind is not VerdictKind.HELD:
        return
    assert set(runs) >= set(RunKind) - {RunKind.CONTROL_AGAIN}
    assert race or runs[RunKind.CONTROL_AGAIN].effects == runs[RunKind.CONTROL_AGAIN].repeats
    assert all(run.kind is kind for kind, run in runs.items())
    assert runs[RunKind.CONTROL].effect
    assert runs[RunKind.DIRECT_CONTROL].effect
    assert runs[RunKind.BENIGN].effect
    assert not runs[RunKind.DIRECT].effect
    assert not runs[RunKind.ATTACK].effect
    assert not runs[RunKind.ATTACK].wins
    for kind in (RunKind.BENIGN, RunKind.DIRECT, RunKind.ATTACK):
        assert ENFORCING in runs[kind].events
    assert not any(run.outcome is Outcome.BROKEN for run in runs.values())


READ = replace(DIRECT, outcome=Outcome.EFFECT, effect=True, errno=0, wins=1)


@pytest.mark.parametrize(
    ("direct", "acts", "lines", "expected"),
    [
        ((PERMITTED,), 3, (PERMITTED,) * 3, VerdictKind.HELD),
        ((PERMITTED,), 3, (PERMITTED,) * 4, VerdictKind.HELD),
        ((PERMITTED,), 3, (PERMITTED,) * 2, VerdictKind.UNLOGGED),
        ((PERMITTED,), 1, (), VerdictKind.UNLOGGED),
        ((PERMITTED,), 1, ({**PERMITTED, "call": "stat"},), VerdictKind.UNLOGGED),
        ((PERMITTED,), 1, ({**PERMITTED, "pid": 4},), VerdictKind.UNLOGGED),
        ((PERMITTED,), 1, ({**PERMITTED, "values": {}},), VerdictKind.UNLOGGED),
        ((PERMITTED,), 1000, (PERMITTED,) * 100, VerdictKind.BROKEN),
        ((), 1, (PERMITTED,), VerdictKind.NOT_ENFORCING),
    ],
)
def test_a_permitted_act_is_in_the_log_each_time(
    direct: tuple[Mapping[str, object], ...],
    acts: int,
    lines: tuple[Mapping[str, object], ...],
    expected: VerdictKind,
) -> None:
    """By its own call, on the object, of the target; as often as the object was reached."""
    seen = evidence(
        replace(READ, events=(ENFORCING, *direct)),
        replace(READ, kind=RunKind.ATTACK, wins=acts, events=(ENFORCING, *lines)),
        race=False,
        recorded=True,
    )
    assert judge(seen).kind is expected
    assert judge(replace(seen, recorded=False)).kind is VerdictKind.NOT_ENFORCING


def test_a_log_is_judged_beside_one_that_lacked_a_line() -> None:
    """Without a leaky enforcer that lost there is no verdict; an end without its token is none."""
    attack = replace(READ, kind=RunKind.ATTACK, events=(ENFORCING, PERMITTED))
    direct = replace(READ, events=(ENFORCING, PERMITTED))
    seen = evidence(direct, attack, race=False, recorded=True)
    assert judge(seen).kind is VerdictKind.HELD
    assert judge(replace(seen, reference=None)).kind is VerdictKind.BROKEN
    assert judge(replace(seen, reference=None, leaky=True)).kind is VerdictKind.HELD
    ended = evidence(direct, replace(attack, finished=False), race=False, recorded=True)
    assert judge(ended).kind is VerdictKind.BROKEN

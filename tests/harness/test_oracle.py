"""The oracle: every branch by table, and "held" without every control is impossible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.mechanisms.contract import Cover, Extent, Inexpressible
from harness.evidence import Attributed
from harness.model import Observation, Outcome, Reference, RunKind, VerdictKind
from harness.odds import attempts_needed, win_rate_bound
from harness.oracle import Evidence, judge

ENFORCING = {"event": "enforcing", "tracer": 4, "Seccomp": "2"}
VALUES = {"filename": ["/srv/shut/object"]}
DENIED = {"event": "decision", "action": "deny", "call": "openat", "pid": 2, "values": VALUES}
PERMITTED = {**DENIED, "action": "permit"}
DETECTED = {**DENIED, "event": "detection", "action": "kill"}
KILLED = {**DENIED, "action": "kill"}
END = {"event": "end", "judged": {"openat": 150}}
ACT = Attributed(calls=frozenset({"openat"}), denied="/srv/shut/object")

CONTROL = Observation(
    kind=RunKind.CONTROL, outcome=Outcome.EFFECT, effect=True, finished=True, attempts=1, wins=1
)
DIRECT_CONTROL = replace(CONTROL, kind=RunKind.DIRECT_CONTROL)
AGAIN = replace(CONTROL, kind=RunKind.CONTROL_AGAIN, repeats=2, effects=2)
BENIGN = replace(CONTROL, kind=RunKind.BENIGN, events=(ENFORCING,))
DIRECT = Observation(
    kind=RunKind.DIRECT,
    outcome=Outcome.BLOCKED,
    finished=True,
    errno=13,
    attempts=1,
    events=(ENFORCING, DENIED),
)
ATTACK = replace(DIRECT, kind=RunKind.ATTACK, attempts=100)
CRASHED = replace(ATTACK, finished=False, outcome=Outcome.CRASHED, attempts=0)
NOT_EVER = Inexpressible([Cover(rule=0, extent=Extent.NONE, reason="it reads memory")])
NOT_HERE = Inexpressible([Cover(rule=0, extent=Extent.NONE, reason="s390x", elsewhere=True)])
REFERENCE = Reference(backend="leaky-one", attempts=100, wins=50, source="this run")
ALL = {run.kind: run for run in (CONTROL, DIRECT_CONTROL, BENIGN, DIRECT, ATTACK, AGAIN)}


def evidence(*changes: Observation, without: RunKind | None = None, **fields: object) -> Evidence:
    """Evidence for held, with some runs exchanged or left out."""
    runs = {**ALL, **{run.kind: run for run in changes}}
    if without is not None:
        del runs[without]
    values: dict[str, object] = {"race": True, "attempts": 100, "reference": REFERENCE}
    values |= {"direct": ACT, "attack": ACT, **fields}
    return Evidence(observations=runs, **values)  # type: ignore[arg-type]


def log(*events: Mapping[str, object]) -> Observation:
    """The attack's run with exactly these events behind the witness."""
    return replace(ATTACK, events=(ENFORCING, *events))


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


BARE = Observation(
    kind=RunKind.CONTROL, outcome=Outcome.SILENT, exit_status=0, stdout="out", tree="t"
)
BARE_AGAIN = replace(BARE, kind=RunKind.CONTROL_AGAIN)
CONFINED = replace(BARE, kind=RunKind.BENIGN, events=(ENFORCING,))
REFUSED = replace(DIRECT, exit_status=1)

COMMANDS = [
    ("same outcome", [BARE, CONFINED], VerdictKind.HELD),
    (
        "same outcome, direct act denied",
        [BARE, DIRECT_CONTROL, CONFINED, REFUSED],
        VerdictKind.HELD,
    ),
    ("no bare direct act", [BARE, CONFINED, REFUSED], VerdictKind.BROKEN),
    (
        "direct act that does nothing bare",
        [BARE, replace(DIRECT_CONTROL, effect=False), CONFINED, REFUSED],
        VerdictKind.INAPPLICABLE,
    ),
    (
        "direct act that does nothing bare, behind which nothing is run",
        [BARE, replace(DIRECT_CONTROL, effect=False)],
        VerdictKind.INAPPLICABLE,
    ),
    (
        "direct act killed by somebody",
        [
            BARE,
            DIRECT_CONTROL,
            CONFINED,
            replace(REFUSED, finished=False, outcome=Outcome.CRASHED, signal=9),
        ],
        VerdictKind.BROKEN,
    ),
    (
        "direct act that hangs",
        [BARE, DIRECT_CONTROL, CONFINED, replace(REFUSED, outcome=Outcome.HUNG)],
        VerdictKind.BROKEN,
    ),
    ("bare run fails", [replace(BARE, exit_status=1), CONFINED], VerdictKind.INAPPLICABLE),
    (
        "bare run dies",
        [replace(BARE, exit_status=None, signal=11), CONFINED],
        VerdictKind.INAPPLICABLE,
    ),
    (
        "other output, as a second bare run has",
        [BARE, replace(CONFINED, stdout="1"), replace(BARE_AGAIN, stdout="2")],
        VerdictKind.INAPPLICABLE,
    ),
    (
        "other output, the bare one is steady",
        [BARE, replace(CONFINED, stdout="1"), BARE_AGAIN],
        VerdictKind.OVERBLOCKED,
    ),
    ("no bare run", [CONFINED], VerdictKind.BROKEN),
    ("no confined run", [BARE], VerdictKind.BROKEN),
    ("other output", [BARE, replace(CONFINED, stdout="")], VerdictKind.OVERBLOCKED),
    ("other errors", [BARE, replace(CONFINED, stderr="x")], VerdictKind.OVERBLOCKED),
    ("other status", [BARE, replace(CONFINED, exit_status=1)], VerdictKind.OVERBLOCKED),
    (
        "killed",
        [BARE, replace(CONFINED, exit_status=None, signal=9)],
        VerdictKind.OVERBLOCKED,
    ),
    ("other files", [BARE, replace(CONFINED, tree="u")], VerdictKind.OVERBLOCKED),
    ("no witness", [BARE, replace(CONFINED, events=())], VerdictKind.NOT_ENFORCING),
    (
        "direct act not denied",
        [BARE, DIRECT_CONTROL, CONFINED, replace(REFUSED, effect=True)],
        VerdictKind.NOT_ENFORCING,
    ),
    (
        "no witness in the direct act's run",
        [BARE, DIRECT_CONTROL, CONFINED, replace(REFUSED, events=(DENIED,))],
        VerdictKind.NOT_ENFORCING,
    ),
    ("bare run hung", [replace(BARE, outcome=Outcome.HUNG), CONFINED], VerdictKind.BROKEN),
    ("confined run hung", [BARE, replace(CONFINED, outcome=Outcome.HUNG)], VerdictKind.BROKEN),
    ("not installed", [replace(BARE, exit_status=127)], VerdictKind.INAPPLICABLE),
    (
        "launch failed",
        [BARE, replace(CONFINED, outcome=Outcome.BROKEN, detail="no seccomp")],
        VerdictKind.BROKEN,
    ),
]


@pytest.mark.parametrize(
    ("runs", "expected"), [pytest.param(runs, kind, id=name) for name, runs, kind in COMMANDS]
)
def test_commands(runs: list[Observation], expected: VerdictKind) -> None:
    """A command under a backend is held only when it does exactly what it does bare."""
    found = {run.kind: run for run in runs}
    assert judge(Evidence(observations=found, command=True)).kind is expected


def test_a_command_that_is_not_installed_says_so() -> None:
    """127 is what shells report of one that is not found, any other status is the command's."""
    for status, is_told in ((127, True), (126, False), (1, False)):
        run = replace(BARE, exit_status=status)
        reason = judge(Evidence(observations={run.kind: run}, command=True)).reason
        assert ("not installed" in reason) is is_told


def test_a_command_that_fails_confined_is_told_with_its_last_words() -> None:
    """The end of its standard error stands beside the status: mostly it names the cause."""
    failed = replace(CONFINED, exit_status=1, stderr="first\nstat: Invalid argument\n")
    found = {run.kind: run for run in (BARE, failed)}
    reason = judge(Evidence(observations=found, command=True)).reason
    assert reason.endswith("exit status 1 instead of 0: stat: Invalid argument")


def test_the_direct_act_of_a_command_is_in_the_log() -> None:
    """Where its log is asked for: by whichever call, on the denied object."""
    act = Attributed(denied="/srv/shut/object")
    for events, kind in (
        ((ENFORCING, DENIED), VerdictKind.HELD),
        ((ENFORCING, PERMITTED), VerdictKind.UNLOGGED),
    ):
        runs = (BARE, DIRECT_CONTROL, CONFINED, replace(REFUSED, events=events))
        found = {run.kind: run for run in runs}
        given_evidence = Evidence(observations=found, command=True, log_required=True, direct=act)
        assert judge(given_evidence).kind is kind


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

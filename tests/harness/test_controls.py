"""Which runs a case has, in which order, and when its control is tried again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.mechanisms.contract import Plan
from harness.model import Effect, Limits, Observation, Outcome, RunKind, VerdictKind
from harness.oracle import Evidence, judge
from harness.places import agent
from harness.places.agent import Request, Run, run_case
from harness.places.controls import alike, repeated
from harness.places.isolation import Isolation
from harness.places.layout import Layout

CONTROL, DIRECT_CONTROL = RunKind.CONTROL, RunKind.DIRECT_CONTROL
BENIGN, DIRECT, ATTACK, AGAIN = (
    RunKind.BENIGN,
    RunKind.DIRECT,
    RunKind.ATTACK,
    RunKind.CONTROL_AGAIN,
)
ORDER = (CONTROL, DIRECT_CONTROL, BENIGN, DIRECT, ATTACK)


def run_of(kind: RunKind) -> Run:
    return Run(
        kind=kind,
        backend="none",
        plan=Plan(mechanism="none", machine="x86_64", data={}),
        mode="attack",
        attempts=1,
        stop=True,
        command=(kind.value,),
    )


REQUEST = Request(
    layout=Layout(root=Path("/nowhere")),
    limits=Limits(),
    program=Path("/nowhere/program"),
    variant="default",
    sentinel="file",
    effect=Effect.READ,
    files={},
    runs=tuple(map(run_of, ORDER)),
)
RACE = replace(REQUEST, race=True)
COMMAND = replace(REQUEST, program=None, effect=None, runs=(run_of(CONTROL), run_of(BENIGN)))
WITH_DIRECT = replace(COMMAND, effect=Effect.READ, runs=tuple(map(run_of, ORDER[:4])))


class Script:
    """Stands in for run_isolated: answers by kind, each kind's last answer for ever after."""

    def __init__(self, **answers: object) -> None:
        self.asked: list[Run] = []
        self._answers = answers

    def __call__(self, request: Request, run: Run, isolation: Isolation) -> Observation:
        self.asked.append(run)
        key = run.kind.name.lower()
        given = self._answers.get(key, run.kind not in (DIRECT, ATTACK))
        if isinstance(given, list):
            given = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(given, Observation):
            return replace(given, kind=run.kind)
        outcome = Outcome.EFFECT if given else Outcome.BLOCKED
        return Observation(kind=run.kind, outcome=outcome, effect=bool(given), finished=True)

    @property
    def kinds(self) -> tuple[RunKind, ...]:
        return tuple(run.kind for run in self.asked)


def carried_out(
    monkeypatch: pytest.MonkeyPatch, request_: Request, script: Script
) -> dict[RunKind, Observation]:
    monkeypatch.setattr(agent, "run_isolated", script)
    seen = run_case(request_, Isolation.PLAIN)
    assert len({each.kind for each in seen}) == len(seen)
    return {each.kind: each for each in seen}


def ended(outcome: Outcome, **fields: object) -> Observation:
    return Observation(kind=CONTROL, outcome=outcome, **fields)  # type: ignore[arg-type]


KINDS = [
    ("held: the control is tried twice more", REQUEST, {}, (*ORDER, AGAIN, AGAIN)),
    ("bypassed: no more is needed", REQUEST, {"attack": True}, ORDER),
    ("a race has a rate of its own", RACE, {}, ORDER),
    (
        "the attack ended badly: whether the effect is there is asked all the same",
        REQUEST,
        {"attack": ended(Outcome.CRASHED, signal=9)},
        (*ORDER, AGAIN, AGAIN),
    ),
    ("a broken attack", REQUEST, {"attack": ended(Outcome.BROKEN)}, ORDER),
    ("a broken benign twin", REQUEST, {"benign": ended(Outcome.BROKEN)}, ORDER),
    ("no effect: perhaps now and then", REQUEST, {"control": False}, (CONTROL, AGAIN, AGAIN)),
    ("a race without effect", RACE, {"control": False}, (CONTROL,)),
    ("unsupported", REQUEST, {"control": ended(Outcome.UNSUPPORTED)}, (CONTROL,)),
    ("a broken control", REQUEST, {"control": ended(Outcome.BROKEN)}, (CONTROL,)),
    ("the direct act does nothing bare", REQUEST, {"direct_control": False}, ORDER[:2]),
    ("... of a race", RACE, {"direct_control": False}, ORDER[:2]),
    ("the direct act is not denied", REQUEST, {"direct": True}, (*ORDER, AGAIN, AGAIN)),
    (
        "a command that does the same",
        COMMAND,
        {
            "control": ended(Outcome.SILENT, exit_status=0),
            "benign": ended(Outcome.SILENT, exit_status=0),
        },
        (CONTROL, BENIGN),
    ),
    (
        "a command that does something else",
        COMMAND,
        {
            "control": ended(Outcome.SILENT, exit_status=0, stdout="a"),
            "benign": ended(Outcome.SILENT, exit_status=0, stdout="b"),
        },
        (CONTROL, BENIGN, AGAIN),
    ),
    (
        "a command that fails",
        COMMAND,
        {"control": ended(Outcome.SILENT, exit_status=1)},
        (CONTROL,),
    ),
    (
        "a command that is not there",
        COMMAND,
        {"control": ended(Outcome.SILENT, exit_status=127)},
        (CONTROL,),
    ),
    (
        "a command that is killed",
        COMMAND,
        {"control": ended(Outcome.CRASHED, signal=9)},
        (CONTROL,),
    ),
    (
        "a command's direct act that does nothing bare",
        WITH_DIRECT,
        {"control": ended(Outcome.SILENT, exit_status=0), "direct_control": False},
        (CONTROL, DIRECT_CONTROL),
    ),
    (
        "a command with a direct act",
        WITH_DIRECT,
        {
            "control": ended(Outcome.SILENT, exit_status=0),
            "benign": ended(Outcome.SILENT, exit_status=0),
        },
        ORDER[:4],
    ),
    (
        "a command that breaks under the enforcer",
        COMMAND,
        {"control": ended(Outcome.SILENT, exit_status=0), "benign": ended(Outcome.BROKEN)},
        (CONTROL, BENIGN),
    ),
]


@pytest.mark.parametrize(
    ("asked", "answers", "kinds"), [pytest.param(*each, id=name) for name, *each in KINDS]
)
def test_runs_and_their_order(
    monkeypatch: pytest.MonkeyPatch,
    asked: Request,
    answers: dict[str, object],
    kinds: tuple[RunKind, ...],
) -> None:
    """Behind a control that shows nothing nothing is run; an effect whose absence is to count is
    looked for again behind it.
    """
    script = Script(**answers)
    seen = carried_out(monkeypatch, asked, script)
    assert script.kinds == kinds
    assert tuple(seen) == tuple(dict.fromkeys(kinds))


def test_the_control_again_is_the_control(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run under another name."""
    script = Script()
    carried_out(monkeypatch, REQUEST, script)
    assert replace(script.asked[-1], kind=CONTROL) == script.asked[0]


@pytest.mark.parametrize(
    ("answers", "effects", "repeats", "kind"),
    [
        ({"control_again": [True, True]}, 2, 2, VerdictKind.BROKEN),
        ({"control_again": [True, False]}, 1, 2, VerdictKind.INAPPLICABLE),
        ({"control_again": [False, True]}, 1, 2, VerdictKind.INAPPLICABLE),
        ({"control_again": [False, False]}, 0, 2, VerdictKind.INAPPLICABLE),
        ({"control": False, "control_again": [False, True]}, 1, 2, VerdictKind.INAPPLICABLE),
    ],
)
def test_an_effect_that_comes_and_goes(
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, object],
    effects: int,
    repeats: int,
    kind: VerdictKind,
) -> None:
    """Its rate over all bare runs is in the reason; one that is steady asks for the reference."""
    enforcing = ended(Outcome.EFFECT, effect=True, finished=True, events=({"event": "enforcing"},))
    denied = replace(enforcing, outcome=Outcome.BLOCKED, effect=False, attempts=1)
    script = Script(benign=enforcing, direct=denied, attack=denied, **answers)
    seen = carried_out(monkeypatch, REQUEST, script)
    assert (seen[AGAIN].effects, seen[AGAIN].repeats) == (effects, repeats)
    verdict = judge(Evidence(observations=seen))
    assert verdict.kind is kind
    if kind is VerdictKind.INAPPLICABLE:
        total = effects + ("control" not in answers)
        assert f"sometimes: without any enforcer the effect appeared in {total} of 3 runs" in (
            verdict.reason
        )


def test_never_is_not_sometimes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An effect that no bare run shows is inapplicable, and nothing comes and goes."""
    seen = carried_out(monkeypatch, REQUEST, Script(control=False, control_again=False))
    verdict = judge(Evidence(observations=seen))
    assert verdict.kind is VerdictKind.INAPPLICABLE
    assert "sometimes" not in verdict.reason


def observed(*effects: bool) -> list[Observation]:
    return [
        Observation(kind=AGAIN, outcome=Outcome.SILENT, effect=each, stdout=str(at))
        for at, each in enumerate(effects)
    ]


@pytest.mark.parametrize(
    ("effects", "shown", "count"),
    [
        ((True,), "0", 1),
        ((False,), "0", 0),
        ((True, True), "1", 2),
        ((True, False), "1", 1),
        ((False, True), "0", 1),
        ((False, False, True), "1", 1),
    ],
)
def test_repeated_runs_are_one(effects: Iterable[bool], shown: str, count: int) -> None:
    """The last one without effect is shown, else the last; all are counted."""
    runs = observed(*effects)
    one = repeated(runs)
    assert (one.stdout, one.repeats, one.effects) == (shown, len(runs), count)


BARE = Observation(kind=CONTROL, outcome=Outcome.SILENT, exit_status=0, stdout="o", tree="t")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"kind": BENIGN, "events": ({"event": "enforcing"},), "seconds": 9.0}, True),
        ({"exit_status": 1}, False),
        ({"exit_status": None, "signal": 9}, False),
        ({"signal": 9}, False),
        ({"stdout": "p"}, False),
        ({"stderr": "e"}, False),
        ({"tree": "u"}, False),
    ],
)
def test_two_runs_of_a_command(change: dict[str, object], same: bool) -> None:
    """They are alike when they ended, printed and left the same."""
    assert alike(BARE, replace(BARE, **change)) is same  # type: ignore[arg-type]

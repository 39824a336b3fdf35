"""Leaky races that win few of their attempts: when they go on, and what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from enforcer.arch import native
from enforcer.events import EventKind
from harness import tree
from harness.attack import load_attacks
from harness.model import Case, Observation, Outcome, RunKind, Scenario, VerdictKind
from harness.places.layout import Layout
from harness.places.local import Answer
from harness.rounds import ENOUGH_WINS, next_round, pooled
from harness.runner import MODES, Job, carry_out
from harness.together import Answered

WITNESS = ({"event": EventKind.ENFORCING.value},)
RACED = Observation(
    kind=RunKind.ATTACK,
    outcome=Outcome.EFFECT,
    effect=True,
    finished=True,
    attempts=2000,
    wins=2,
    events=WITNESS,
    seconds=1.0,
)
LOST = replace(RACED, outcome=Outcome.BLOCKED, effect=False, wins=0)
CONTROL = replace(RACED, kind=RunKind.CONTROL)
SCENARIO = Scenario(
    id="race/x",
    title="t",
    path=Path("x.yaml"),
    policy="policy: /bin/true\ndefault: permit\nrules: []\n",
    dialect="yaml",
    attack="race/path-race",
)
LEAKY = Job(
    case=Case(
        scenario=SCENARIO,
        variant="default",
        backend="leaky-ptrace-bare",
        abi=native().abis[0].name,
        kernel="6.18",
        place="local",
        leaky=True,
    ),
    attack=load_attacks(tree.OWN / "attacks")["race/path-race"],
    attempts=2000,
    most=20_000,
)


RUNS_BEFORE = (
    replace(RACED, kind=RunKind.CONTROL),
    replace(RACED, kind=RunKind.DIRECT_CONTROL),
    replace(RACED, kind=RunKind.BENIGN),
    replace(LOST, kind=RunKind.DIRECT),
)
"""Of a case, what comes before its attack."""


class Scripted:
    """A place in which the attack wins what it is told to, round by round."""

    name, kernel, abis, patience, machine = "local", "6.18", native().abis, 1.0, "m"

    def __init__(self, *wins: int) -> None:
        self.wins = list(wins)
        self.rounds: list[int] = []
        self.kinds: list[list[object]] = []

    def layout(self) -> Layout:
        return Layout(root=Path("/tmp/none"))

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        runs = cast("list[dict[str, object]]", request["runs"])
        attempts = cast("int", runs[-1]["attempts"])
        self.rounds.append(attempts)
        self.kinds.append([run["kind"] for run in runs])
        wins = self.wins.pop(0)
        attack = replace(RACED if wins > 0 else LOST, attempts=attempts, wins=max(wins, 0))
        if wins < 0:
            attack = replace(attack, outcome=Outcome.HUNG, finished=False)
        seen = {each.kind: each for each in (*RUNS_BEFORE, attack)}
        observations = tuple(seen[RunKind(str(run["kind"]))] for run in runs)
        return Answer(observations=observations, isolation="namespaces")

    def close(self) -> None:
        """Nothing was opened."""


def test_a_race_goes_on_until_it_won_enough() -> None:
    """As often again as it was tried; never beyond the most, and not after a fault."""
    assert next_round((CONTROL, RACED), 20_000) == 2000
    assert next_round((CONTROL, RACED), 3000) == 1000
    assert next_round((RACED,), 2000) == 0
    assert next_round((RACED,), 0) == 0
    assert next_round((replace(RACED, wins=ENOUGH_WINS),), 20_000) == 0
    assert next_round((replace(RACED, finished=False),), 20_000) == 0
    assert next_round((CONTROL,), 20_000) == 0


def test_rounds_are_summed() -> None:
    """Wins, attempts and seconds of the attack; the effect was seen if either round shows it."""
    found = pooled((CONTROL, RACED), (CONTROL, LOST))
    assert found == (CONTROL, replace(RACED, attempts=4000, seconds=2.0))
    other_way = pooled((CONTROL, LOST), (CONTROL, RACED))
    assert other_way == found
    assert pooled((RACED,), (replace(RACED, finished=False),)) is None
    assert pooled((RACED,), (CONTROL,)) is None


def test_the_delay_of_the_better_round_is_kept() -> None:
    """Whichever came first."""
    worse, better = replace(RACED, rung=1), replace(RACED, wins=9, rung=4)
    for earlier, later in ((worse, better), (better, worse)):
        together = pooled((earlier,), (later,))
        assert together is not None
        assert together[0].rung == 4


def test_an_unlucky_leaky_race_is_tried_again() -> None:
    """Its verdict states the sum of its rounds, which double."""
    place = Scripted(0, 2, 9)
    verdict = carry_out(LEAKY, place).verdict
    assert place.rounds == [2000, 2000, 4000]
    assert (verdict.kind, verdict.wins, verdict.attempts) == (VerdictKind.BYPASSED, 11, 8000)
    # What the other runs prove is known from the first round.
    assert place.kinds == [list(MODES), [RunKind.ATTACK], [RunKind.ATTACK]]


def test_a_race_in_company_goes_on_alone() -> None:
    """What it won beside others is its first round."""
    place = Scripted(9)
    seen = (*RUNS_BEFORE, LOST)
    first = Answered(place, Answer(observations=seen, isolation="namespaces"))
    verdict = carry_out(LEAKY, first).verdict
    assert place.kinds == [[RunKind.ATTACK]]
    assert (verdict.kind, verdict.wins, verdict.attempts) == (VerdictKind.BYPASSED, 9, 4000)


def test_a_race_that_is_never_won_ends() -> None:
    """At the number that it may make; and it is said to have held."""
    place = Scripted(*[0] * 9)
    verdict = carry_out(LEAKY, place).verdict
    assert sum(place.rounds) == LEAKY.most
    assert (verdict.kind, verdict.attempts) == (VerdictKind.HELD, LEAKY.most)


def test_a_later_round_that_hangs_takes_nothing_back() -> None:
    """What was counted before stands."""
    verdict = carry_out(LEAKY, Scripted(2, -1)).verdict
    assert (verdict.kind, verdict.wins, verdict.attempts) == (VerdictKind.BYPASSED, 2, 2000)


def test_what_is_to_hold_is_run_once() -> None:
    """A sound backend's race has no second try, whatever came of the first."""
    place = Scripted(0, 5)
    carry_out(replace(LEAKY, case=replace(LEAKY.case, backend="ptrace", leaky=False)), place)
    assert place.rounds == [2000]

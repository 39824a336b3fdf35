"""`harness bench races`: which races are run how, and what counts as won."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from enforcer.arch import native
from harness import tree
from harness.attack import AttackKind, load_attacks
from harness.backends import names
from harness.bench.races import FirstWins, first_wins, race_jobs
from harness.cases import Selection
from harness.cli import cli
from harness.model import Observation, Outcome, RunKind
from harness.places.layout import Layout
from harness.places.local import Answer, PlaceError
from harness.scenario import Known, load_scenarios
from harness.wideners import Widener

ATTACKS = load_attacks(tree.OWN / "attacks")
SCENARIOS = load_scenarios(tree.OWN / "scenarios", Known(attacks=ATTACKS, backends=names()))
HERE = Selection(ours=("ptrace",), abis=(native().abis[0].name,))


class Timed:
    """A place whose races take what they are told to; a negative number wins nothing."""

    name, kernel, abis, patience, machine = "local", "6.18", native().abis, 1.0, "m"

    def __init__(self, *seconds: float, outcome: Outcome = Outcome.EFFECT) -> None:
        self.seconds = list(seconds)
        self.outcome = outcome
        self.asked: list[Mapping[str, object]] = []

    def layout(self) -> Layout:
        return Layout(root=Path("/tmp/none"))

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        self.asked.append(request)
        took = self.seconds.pop(0)
        seen = Observation(
            kind=RunKind.ATTACK, outcome=self.outcome, effect=took > 0, seconds=abs(took)
        )
        return Answer(observations=(seen,), isolation="namespaces")

    def close(self) -> None:
        """Nothing was opened."""


@pytest.mark.parametrize("widener", [None, Widener.FILTER, Widener.USERFAULTFD])
def test_every_race_is_run_against_each_of_its_leaky_backends(widener: Widener | None) -> None:
    """Once, plainly or with the widener; what has not that widener is left out."""
    jobs = race_jobs(SCENARIOS, ATTACKS, HERE, widener)
    races = {
        attack.id
        for attack in ATTACKS.values()
        if attack.kind is AttackKind.RACE and (widener is None or widener in attack.wideners)
    }
    assert {job.case.scenario.attack for job in jobs} == races
    assert all(job.case.leaky for job in jobs)
    assert len({(job.case.scenario.attack, job.case.backend) for job in jobs}) == len(jobs)
    suffix = f"+{widener}" if widener else ""
    assert {
        job.case.variant.removeprefix(str(job.attack and job.attack.variants[0])) for job in jobs
    } == {suffix}


def test_a_run_is_the_attack_alone_until_it_wins_or_its_time_is_up() -> None:
    """A win behind that time is none; what is asked of the place says so."""
    (job, *_) = race_jobs(SCENARIOS, ATTACKS, HERE, None)
    place = Timed(1.0, -5.0, 0.5, 5.5)
    found = first_wins(job, place, 4, 5.0)
    assert found.seconds == (1.0, None, 0.5, None)
    assert (found.won, found.median, found.often) == ((0.5, 1.0), None, False)
    for request in place.asked:
        (run,) = cast("list[dict[str, object]]", request["runs"])
        assert (run["kind"], run["stop"], run["backend"]) == ("attack", True, job.case.backend)
        assert cast("dict[str, object]", request["limits"])["timeout_s"] == 5.0


@pytest.mark.parametrize(
    "outcome", [Outcome.BROKEN, Outcome.UNSUPPORTED, Outcome.UNAVAILABLE], ids=str
)
def test_a_run_that_was_no_race_is_not_one_that_lost(outcome: Outcome) -> None:
    """A failure of the laboratory ends the measurement; it is no statement on the race."""
    (job, *_) = race_jobs(SCENARIOS, ATTACKS, HERE, None)
    with pytest.raises(PlaceError, match=outcome.value):
        first_wins(job, Timed(-1.0, outcome=outcome), 1, 5.0)


@pytest.mark.parametrize(("lost", "often"), [(0, True), (1, True), (2, False)])
def test_nineteen_of_twenty_are_often(lost: int, often: bool) -> None:
    """And the median is of all runs."""
    seconds = (*[None] * lost, *[2.0] * (20 - lost))
    found = FirstWins(
        race="race/x", catalogue=(), widener=None, backend="b", within_s=5.0, seconds=seconds
    )
    assert (found.often, found.median) == (often, 2.0)


def test_a_race_is_measured() -> None:
    """One run of a real one, on one processor: its record has the seconds, or says: none."""
    words = ["bench", "races", "-k", "symlink-swap[", "--runs", "1", "--one-processor", "--json"]
    words += ["--widener", "filter"]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    records = [json.loads(line) for line in done.output.splitlines()]
    assert {record["backend"] for record in records} == {"leaky-notify-bare", "leaky-ptrace-bare"}
    assert all(record["won"] == len([s for s in record["seconds"] if s]) for record in records)
    assert done.exit_code == int(any(record["won"] == 0 for record in records))

"""Which leaky race a race is judged by, and where it is known from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness import tree
from harness.attack import load_attacks
from harness.calibration import THIS_RUN, Calibration, needs_reference
from harness.cases import most_attempts
from harness.model import Case, Scenario, VerdictKind
from harness.odds import attempts_needed
from harness.results import LeakyRace, Row, Store, leaky_race, row_of
from harness.rounds import ENOUGH_WINS
from harness.runner import Job, broken_result

ATTACK = load_attacks(tree.OWN / "attacks")["race/path-race"]
SCENARIO = Scenario(
    id="race/x", title="t", path=Path("x.yaml"), policy="", dialect="yaml", attack=ATTACK.id
)
CASE = Case(
    scenario=SCENARIO,
    variant="default",
    backend="ptrace",
    abi="x86_64",
    kernel="6.18",
    place="local",
)
JOB = Job(case=CASE, attack=ATTACK, attempts=2000, most=100_000)
LEAKY = replace(JOB, case=replace(CASE, backend="leaky-ptrace-bare", leaky=True), most=20_000)
NOTIFY = replace(LEAKY, case=replace(LEAKY.case, backend="leaky-notify-bare"))
RACE = LeakyRace(
    attack=ATTACK.id,
    variant="default",
    arch="x86_64",
    kernel="6.18",
    place="local",
    backend="leaky-ptrace-bare",
    attempts=2000,
    wins=100,
    source="campaign 1",
)


def row(**fields: object) -> Row:
    """A leaky result as it is stored."""
    won = replace(row_of(broken_result(LEAKY, "")), verdict="bypassed", attempts=2000, wins=9)
    return replace(won, **fields)  # type: ignore[arg-type]


def test_the_reference_is_of_the_same_mechanism() -> None:
    """Whatever is known of others; without one of its own the hardest to win from is taken."""
    found = Calibration([RACE, replace(RACE, backend="leaky-notify-bare", wins=1)])
    ptrace, notify, landlock = (
        found.reference(replace(CASE, backend=name)) for name in ("ptrace", "notify", "landlock")
    )
    assert ptrace is not None
    assert notify is not None
    assert (ptrace.backend, ptrace.wins, ptrace.source) == ("leaky-ptrace-bare", 100, "campaign 1")
    assert notify.backend == "leaky-notify-bare"
    assert landlock == notify


def test_races_elsewhere_say_nothing() -> None:
    """Another attack, ABI, kernel, place or variant is another race."""
    for field in ("attack", "arch", "kernel", "place", "variant"):
        race = replace(RACE, **{field: "other"})  # type: ignore[arg-type]
        assert Calibration([race]).reference(CASE) is None


def test_a_later_race_replaces_an_earlier_one() -> None:
    """What was measured in this run counts more than what was recorded."""
    found = Calibration([RACE])
    found.note(replace(RACE, wins=7, source=THIS_RUN))
    reference = found.reference(CASE)
    assert reference is not None
    assert (reference.wins, reference.source) == (7, THIS_RUN)


def test_races_of_one_run_are_counted_together() -> None:
    """Wins and attempts of one backend in several scenarios; those of other backends are not."""
    found = Calibration([RACE, replace(RACE, wins=2), replace(RACE, backend="leaky-notify-bare")])
    reference = found.reference(CASE)
    assert reference is not None
    assert (reference.wins, reference.attempts) == (102, 4000)


def test_what_is_unknown_is_added() -> None:
    """Leaky cases are added for races that nothing is known of, and for nothing else: those of
    the race's own mechanism, or all where it has none.
    """
    assert Calibration().lacking([JOB], [LEAKY]) == [LEAKY]
    assert Calibration().lacking([JOB], [NOTIFY, LEAKY]) == [LEAKY]
    landlock = replace(JOB, case=replace(CASE, backend="landlock"))
    assert Calibration().lacking([landlock], [NOTIFY, LEAKY]) == [NOTIFY, LEAKY]
    assert Calibration().lacking([JOB, LEAKY], [LEAKY]) == []
    assert Calibration([RACE]).lacking([JOB], [LEAKY]) == []
    i386 = replace(LEAKY, case=replace(LEAKY.case, abi="i386"))
    assert Calibration().lacking([JOB], [i386]) == []


def test_what_is_hardly_known_is_measured_again() -> None:
    """Few wins of few attempts; not few of as many as a leaky race may make."""
    unlucky = replace(RACE, wins=2)
    assert Calibration([unlucky]).lacking([JOB], [LEAKY]) == [LEAKY]
    assert Calibration([replace(unlucky, attempts=20_000)]).lacking([JOB], [LEAKY]) == []
    assert Calibration([replace(unlucky, wins=8)]).lacking([JOB], [LEAKY]) == []


def test_what_cannot_be_held_needs_no_reference() -> None:
    """Leaky backends, the control, and what is expected to be inexpressible."""
    hopeless = replace(SCENARIO, expect={"ptrace": VerdictKind.INEXPRESSIBLE})
    assert needs_reference(JOB)
    assert not needs_reference(LEAKY)
    assert not needs_reference(replace(JOB, case=replace(CASE, backend="none")))
    assert not needs_reference(replace(JOB, case=replace(CASE, scenario=hopeless)))


def test_attempts_are_raised_to_what_the_reference_asks_for() -> None:
    """As many as make the leaky enforcer's loss nearly certain, but no more than are permitted."""
    rare = Calibration([replace(RACE, wins=4)])
    assert rare.fitted(JOB).attempts == attempts_needed(2000, 4)
    few = replace(JOB, most=3000)
    assert rare.fitted(few).attempts == 3000
    assert rare.fitted(few).reference is not None
    assert Calibration([RACE]).fitted(JOB).attempts == 2000
    assert Calibration().fitted(JOB) == JOB


def test_a_leaky_race_that_went_on_leaves_a_verdict_within_reach() -> None:
    """Enough wins at any time, or five of the manifest's number, ask for no more than is given."""
    default = ATTACK.attempts.default
    most = most_attempts(CASE, ATTACK, asked=None)
    for attempts, wins in ((2000, ENOUGH_WINS), (default, ENOUGH_WINS), (default, 5)):
        needed = attempts_needed(attempts, wins)
        assert needed is not None
        assert needed <= most
    assert most_attempts(LEAKY.case, ATTACK, asked=None) == default
    assert most_attempts(CASE, ATTACK, asked=300) == 300


def test_recorded_races_are_found_again(tmp_path: Path) -> None:
    """Those of leaky backends that ended, with their campaign; the latest comes last."""
    store = Store(tmp_path / "results.sqlite")
    for _ in range(2):
        campaign = store.begin([], 3)
        store.add(campaign, row(wins=campaign))
        store.add(campaign, row(case_id="lost", verdict="broken"))
        store.add(campaign, row(case_id="ours", leaky=False))
    races = store.leaky_races()
    store.close()
    assert [(race.wins, race.source) for race in races] == [(1, "campaign 1"), (2, "campaign 2")]
    assert races[0] == leaky_race(row(wins=1), "campaign 1")
    assert leaky_race(row(verdict="broken"), THIS_RUN) is None
    reference = Calibration(races).reference(CASE)
    assert reference is not None
    assert reference.wins == 2

"""Which leaky race a race is judged by, and where it is known from."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from harness import tree
from harness.attack import load_attacks
from harness.calibration import OLDEST_S, Calibration, needs_reference
from harness.cases import FEWEST_IN_GUEST, TIMES_LEAKY, fewest_attempts, most_attempts
from harness.model import Case, Provenance, Scenario, VerdictKind
from harness.odds import attempts_enough, attempts_needed
from harness.places.layout import Layout
from harness.places.local import LocalPlace, kernel_release
from harness.results import LeakyRun, Origin, Row, Store, leaky_run, row_of
from harness.rounds import ENOUGH_WINS
from harness.runner import Job, broken_result

ATTACKS = load_attacks(tree.OWN / "attacks")
ATTACK, ACT = ATTACKS["race/path-race"], ATTACKS["replication/name-forms"]
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
HERE = Provenance(program="p", policy="q", modules="m", machine="h")
NOW = 1_000_000.0
RACE = LeakyRun(
    scenario=SCENARIO.id,
    variant="default",
    arch="x86_64",
    kernel="6.18",
    place="local",
    backend="leaky-ptrace-bare",
    attempts=2000,
    wins=100,
    provenance=HERE,
    campaign=1,
    finished=NOW - 7200,
)


def calibration(*runs: LeakyRun) -> Calibration:
    """All jobs belong here, and it is NOW."""
    return Calibration(runs, belongs=lambda job: HERE, now=lambda: NOW)


def row(**fields: object) -> Row:
    """A leaky result as it is stored."""
    broken = row_of(broken_result(LEAKY, ""))
    won = replace(broken, verdict="bypassed", attempts=2000, wins=9, provenance=HERE)
    return replace(won, finished=NOW, **fields)  # type: ignore[arg-type]


def test_the_reference_is_of_the_same_mechanism() -> None:
    """Whatever is known of others; without one of its own the hardest to win from is taken."""
    found = calibration(RACE, replace(RACE, backend="leaky-notify-bare", wins=1))
    ptrace, notify, landlock = (
        found.reference(replace(JOB, case=replace(CASE, backend=name)))
        for name in ("ptrace", "notify", "landlock")
    )
    assert ptrace is not None
    assert notify is not None
    assert (ptrace.backend, ptrace.wins) == ("leaky-ptrace-bare", 100)
    assert ptrace.source == "campaign 1, 2 h ago"
    assert notify.backend == "leaky-notify-bare"
    assert landlock == notify


def test_a_race_begins_with_the_delay_that_won_from_its_reference() -> None:
    """As the leaky attack run told it; a later run of the same campaign that won none keeps it."""
    told = ({"kind": "control", "rung": 1}, {"kind": "attack", "rung": 5})
    run = leaky_run(row(observations=told), None)
    silent = leaky_run(row(observations=({"kind": "attack", "rung": None},)), None)
    assert run is not None
    assert silent is not None
    for found in (calibration(run), calibration(run, silent)):
        assert found.fitted(JOB).rung == 5
    assert calibration(silent).fitted(JOB).rung is None
    assert JOB.rung is None


def test_one_that_lost_goes_before_one_that_held() -> None:
    """Another mechanism's loss says more than the own one's luck."""
    found = calibration(replace(RACE, wins=0), replace(RACE, backend="leaky-notify-bare"))
    reference = found.reference(JOB)
    assert reference is not None
    assert reference.backend == "leaky-notify-bare"


def test_the_hardest_to_win_from_is_taken() -> None:
    """By its rate: many wins in many more attempts are few."""
    seldom = replace(RACE, backend="leaky-ptrace-stack-copy", attempts=20_000, wins=200)
    for found in (calibration(RACE, seldom), calibration(seldom, RACE)):
        reference = found.reference(JOB)
        assert reference is not None
        assert reference.backend == "leaky-ptrace-stack-copy"


def test_a_leaky_case_that_runs_anyway_is_enough() -> None:
    """Where the own mechanism's is selected, no other one's is added."""
    assert calibration().lacking([JOB, LEAKY], [NOTIFY]) == []
    assert calibration().lacking([JOB], [NOTIFY]) == [NOTIFY]


def test_runs_elsewhere_say_nothing() -> None:
    """Another scenario, ABI, kernel, place or variant is another attack."""
    for field in ("scenario", "arch", "kernel", "place", "variant"):
        race = replace(RACE, **{field: "other"})  # type: ignore[arg-type]
        assert calibration(race).reference(JOB) is None


@pytest.mark.parametrize("field", [field.name for field in fields(Provenance)])
def test_runs_of_another_provenance_say_nothing(field: str) -> None:
    """An edited program, another policy, other modules, another machine: it is measured anew."""
    other = replace(HERE, **{field: "other"})
    found = calibration(replace(RACE, provenance=other))
    assert found.reference(JOB) is None
    assert found.lacking([JOB], [LEAKY]) == [LEAKY]


def test_a_reference_has_an_age() -> None:
    """The older a run is, the less it says of what the machine does now."""
    assert calibration(replace(RACE, finished=NOW - OLDEST_S + 1)).reference(JOB) is not None
    old = calibration(replace(RACE, finished=NOW - OLDEST_S))
    assert old.reference(JOB) is None
    assert old.lacking([JOB], [LEAKY]) == [LEAKY]
    for hours, is_known in ((23, True), (25, False)):
        then = replace(RACE, finished=NOW - hours * 3600)
        assert (calibration(then).reference(JOB) is not None) is is_known
    young = calibration(replace(RACE, finished=NOW - 180)).reference(JOB)
    assert young is not None
    assert young.source == "campaign 1, 3 min ago"


def test_a_later_run_replaces_an_earlier_one() -> None:
    """What was measured in this run counts more than what was recorded."""
    found = calibration(RACE)
    found.note(replace(RACE, wins=7, campaign=None))
    reference = found.reference(JOB)
    assert reference is not None
    assert (reference.wins, reference.source) == (7, "this run")


def test_rounds_of_one_campaign_are_counted_together() -> None:
    """Wins and attempts of one backend; those of other backends are not."""
    found = calibration(RACE, replace(RACE, wins=2), replace(RACE, backend="leaky-notify-bare"))
    reference = found.reference(JOB)
    assert reference is not None
    assert (reference.wins, reference.attempts) == (102, 4000)


def test_what_is_unknown_is_added() -> None:
    """Leaky cases are added for races that nothing is known of, and for nothing else: those of
    the race's own mechanism, or one where it has none.
    """
    assert calibration().lacking([JOB], [LEAKY]) == [LEAKY]
    assert calibration().lacking([JOB], [NOTIFY, LEAKY]) == [LEAKY]
    landlock = replace(JOB, case=replace(CASE, backend="landlock"))
    assert calibration().lacking([landlock], [NOTIFY, LEAKY]) == [NOTIFY]
    assert calibration().lacking([JOB, LEAKY], [LEAKY]) == []
    assert calibration(RACE).lacking([JOB], [LEAKY]) == []
    i386 = replace(LEAKY, case=replace(LEAKY.case, abi="i386"))
    assert calibration().lacking([JOB], [i386]) == []


def test_what_is_hardly_known_is_measured_again() -> None:
    """Few wins of few attempts; not few of as many as a leaky race may make."""
    unlucky = replace(RACE, wins=2)
    assert calibration(unlucky).lacking([JOB], [LEAKY]) == [LEAKY]
    assert calibration(replace(unlucky, attempts=20_000)).lacking([JOB], [LEAKY]) == []
    assert calibration(replace(unlucky, wins=8)).lacking([JOB], [LEAKY]) == []


def test_one_act_is_known_by_one_run() -> None:
    """A deterministic attack needs no number of wins; a leaky enforcer that held it is no measure,
    and is not asked again."""
    act = replace(JOB, attack=ACT, attempts=1)
    leaky = replace(LEAKY, attack=ACT, attempts=1)
    once = replace(RACE, attempts=1, wins=1)
    assert calibration().lacking([act], [leaky]) == [leaky]
    assert calibration(once).lacking([act], [leaky]) == []
    assert calibration(once).fitted(act).attempts == 1
    assert calibration(replace(once, wins=0)).lacking([act], [leaky]) == []


HOPELESS = replace(SCENARIO, expect={"ptrace": VerdictKind.INEXPRESSIBLE})


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(LEAKY, id="a leaky backend"),
        pytest.param(replace(JOB, attack=None), id="a command"),
        pytest.param(replace(JOB, case=replace(CASE, backend="none")), id="the control"),
        pytest.param(replace(JOB, case=replace(CASE, scenario=HOPELESS)), id="the inexpressible"),
    ],
)
def test_what_cannot_be_held_needs_no_reference(job: Job) -> None:
    """It has none, whatever is known, and nothing is measured for its sake."""
    assert not needs_reference(job)
    assert calibration(RACE).fitted(job) == job
    assert calibration().lacking([job], [LEAKY]) == []


class Elsewhere(LocalPlace):
    """A place as far as policies are stated for it."""

    def layout(self) -> Layout:
        return Layout(root=Path("/srv"))


@pytest.mark.parametrize(
    ("rule", "measured"),
    [('openat\n    when: filename eq "${denied}"', True), ("getppid", False)],
    ids=["on a name", "on a call"],
)
def test_nothing_is_measured_for_what_a_module_cannot_keep(rule: str, measured: bool) -> None:
    """A security module is asked before the leaky enforcers are run for its sake."""
    text = f"default: permit\nrules:\n  - deny[eacces]: {rule}\n"
    scenario = replace(SCENARIO, policy=text)
    case = replace(CASE, scenario=scenario, backend="tomoyo", external=True)
    for place in (Elsewhere(), None):  # of jobs for this machine no place is told
        job = replace(JOB, case=case, place=place)
        leaky = replace(LEAKY, case=replace(LEAKY.case, scenario=scenario), place=place)
        assert calibration().lacking([job], [leaky]) == [leaky][: int(measured)]


def test_two_machines_of_one_place_are_both_measured() -> None:
    """A leaky case has one id in machines that are booted with different modules, and what it lost
    in one says nothing of the other.
    """
    places = Elsewhere(), Elsewhere()
    machines = {id(place): replace(HERE, machine=f"{n}") for n, place in enumerate(places)}
    found = Calibration(belongs=lambda job: machines[id(job.place)], now=lambda: NOW)
    leaky = [replace(LEAKY, place=place) for place in places]
    assert found.lacking([replace(JOB, place=place) for place in places], leaky) == leaky


def test_a_race_is_measured_in_one_machine_of_a_guests_kernel() -> None:
    """What it lost there in this run judges those of a machine that is booted with other modules,
    unless their own is known; of another kernel, or an earlier run, it does not.
    """
    places = Elsewhere(), Elsewhere()
    machines = {id(place): replace(HERE, machine=f"{n}") for n, place in enumerate(places)}
    found = Calibration(belongs=lambda job: machines[id(job.place)], now=lambda: NOW)
    case = replace(CASE, place="vm:x86_64")
    leaky_case = replace(LEAKY.case, place="vm:x86_64")
    here, there = (replace(JOB, case=case, place=place) for place in places)
    leaky = [replace(LEAKY, case=leaky_case, place=place) for place in places]
    assert found.lacking([here, there], leaky) == leaky[:1]
    lost = replace(RACE, place="vm:x86_64", provenance=machines[id(places[0])])
    found.note(lost)
    assert found.reference(there) is None
    found.note(replace(lost, campaign=None))
    assert found.lacking([here, there], leaky) == []
    assert found.reference(replace(there, case=replace(case, kernel="6.12"))) is None
    reference = found.reference(there)
    assert reference is not None
    assert reference.source == "this run, in a machine booted with other modules"
    found.note(replace(lost, campaign=None, wins=9, provenance=machines[id(places[1])]))
    own = found.reference(there)
    assert own is not None
    assert (own.wins, own.source) == (9, "this run")


def test_what_could_be_held_needs_one() -> None:
    """A race and a single act alike."""
    assert needs_reference(JOB)
    assert needs_reference(replace(JOB, attack=ACT))


def test_attempts_are_raised_to_what_the_reference_asks_for() -> None:
    """As many as make the leaky enforcer's loss nearly certain, but no more than are permitted."""
    rare = calibration(replace(RACE, wins=4))
    assert rare.fitted(JOB).attempts == attempts_needed(2000, 4)
    few = replace(JOB, most=3000)
    assert rare.fitted(few).attempts == 3000
    assert rare.fitted(few).reference is not None
    assert calibration(RACE).fitted(JOB).attempts == 2000
    assert calibration().fitted(JOB) == JOB


@pytest.mark.parametrize(
    ("attempts", "wins", "made"),
    [
        pytest.param(80, 60, FEWEST_IN_GUEST, id="lost nearly always"),
        pytest.param(80, 27, attempts_enough(80, 27), id="lost often"),
        pytest.param(80, 8, 400, id="lost sometimes"),
        pytest.param(400, 8, attempts_needed(400, 8), id="lost rarely"),
        pytest.param(4000, 0, 400, id="never lost"),
    ],
)
def test_a_race_in_a_guest_is_cut_short_where_the_leaky_one_lost_often(
    attempts: int, wins: int, made: int
) -> None:
    """A leaky enforcer that loses rarely keeps its race as long as it was, or makes it longer; and
    where no fewest number is given, nothing is cut.
    """
    guest = replace(JOB, attempts=400, fewest=FEWEST_IN_GUEST)
    found = calibration(replace(RACE, attempts=attempts, wins=wins))
    assert found.fitted(guest).attempts == made
    assert found.fitted(replace(guest, fewest=0)).attempts == max(400, made)
    assert found.fitted(replace(guest, fewest=0, most=400)).attempts == 400


@pytest.mark.parametrize(
    ("case", "asked", "fewest"),
    [
        pytest.param({"place": "vm:x86_64"}, None, FEWEST_IN_GUEST, id="in a guest"),
        pytest.param({"place": "vm:x86_64"}, 400, 0, id="the user's number"),
        pytest.param({"place": "vm:x86_64", "leaky": True}, None, 0, id="leaky"),
        pytest.param(
            {"place": "vm:x86_64", "scenario": replace(SCENARIO, attempts=9)},
            None,
            0,
            id="the scenario's number",
        ),
        pytest.param({}, None, 400, id="here"),
        pytest.param({}, 300, 0, id="the user's number here"),
    ],
)
def test_whose_races_may_be_cut_short(case: dict[str, Any], asked: int | None, fewest: int) -> None:
    """Those of which nobody has said how many attempts they make."""
    assert fewest_attempts(replace(CASE, **case), ATTACK, asked=asked) == fewest
    assert fewest_attempts(replace(CASE, **case), ACT, asked=asked) == 0


def test_a_leaky_race_that_went_on_leaves_a_verdict_within_reach() -> None:
    """Enough wins at any time, or five of all its attempts, ask for no more than is given."""
    most_of_leaky = most_attempts(LEAKY.case, ATTACK, asked=None)
    most = most_attempts(CASE, ATTACK, asked=None)
    for attempts, wins in ((400, ENOUGH_WINS), (most_of_leaky, ENOUGH_WINS), (most_of_leaky, 5)):
        needed = attempts_needed(attempts, wins)
        assert needed is not None
        assert needed <= most
    assert most_of_leaky == ATTACK.attempts.default * TIMES_LEAKY
    assert most_attempts(CASE, ATTACK, asked=300) == 300


def test_recorded_runs_are_found_again(tmp_path: Path) -> None:
    """Those of leaky backends that ended, with their campaign; the latest comes last."""
    store = Store(tmp_path / "results.sqlite")
    for _ in range(2):
        campaign = store.begin([], 3, Origin(root="/tree", tree="", machine="")).id
        store.add(campaign, row(wins=campaign))
        store.add(campaign, row(case_id="lost", verdict="broken"))
        store.add(campaign, row(case_id="ours", leaky=False))
        store.add(campaign, row(case_id="of nothing", provenance=None))
    runs = store.leaky_runs()
    store.close()
    assert [(run.wins, run.campaign) for run in runs] == [(1, 1), (2, 2)]
    assert runs[0] == leaky_run(row(wins=1), 1)
    assert leaky_run(row(verdict="broken"), None) is None
    reference = calibration(*runs).reference(JOB)
    assert reference is not None
    assert reference.wins == 2


GUEST = replace(CASE, place="vm:x86_64", kernel="6.1", backend="notify")
ACTED = Job(case=GUEST, attack=ACT, attempts=1, place=Elsewhere())
LEAKY_IN_GUEST = replace(ACTED, case=replace(GUEST, backend="leaky-notify-bare", leaky=True))
LOST_HERE = replace(
    RACE, backend="leaky-notify-bare", kernel=kernel_release(), attempts=1, wins=1, campaign=None
)
LOST_THERE = replace(LOST_HERE, kernel="6.1", place="vm:x86_64")


def test_an_act_in_a_guest_is_judged_by_what_it_won_here() -> None:
    """The leaky enforcer runs on this machine first; the verdict says where it lost."""
    found = calibration()
    (first,) = found.lacking_here([ACTED, ACTED], [LEAKY_IN_GUEST, LEAKY_IN_GUEST])
    assert (first.place, first.case.place, first.case.kernel) == (None, "local", kernel_release())
    assert first.case.backend == "leaky-notify-bare"
    assert found.lacking([ACTED], [LEAKY_IN_GUEST]) == [LEAKY_IN_GUEST]
    found.note(replace(LOST_HERE, wins=0))
    assert found.lacking_here([ACTED], [LEAKY_IN_GUEST]) == []
    assert found.lacking([ACTED], [LEAKY_IN_GUEST]) == [LEAKY_IN_GUEST]
    found.note(replace(LOST_HERE, campaign=1))
    found.note(LOST_HERE)
    assert found.lacking_here([ACTED], [LEAKY_IN_GUEST]) == []
    assert found.lacking([ACTED], [LEAKY_IN_GUEST]) == []
    assert found.lacking_here([ACTED, LEAKY_IN_GUEST], [LEAKY_IN_GUEST]) == []
    reference = found.fitted(ACTED).reference
    assert reference is not None
    assert reference.source == f"this run, on this machine's Linux {kernel_release()}"


@pytest.mark.parametrize(
    ("job", "run"),
    [
        pytest.param(
            replace(ACTED, attack=ATTACK), replace(LOST_HERE, attempts=2000, wins=100), id="a race"
        ),
        pytest.param(
            replace(ACTED, case=replace(GUEST, abi="arm64")),
            replace(LOST_HERE, arch="arm64"),
            id="a program that does not run here",
        ),
        pytest.param(ACTED, replace(LOST_HERE, wins=0), id="one that held here"),
        pytest.param(ACTED, replace(LOST_HERE, arch="i386"), id="another ABI"),
        pytest.param(
            ACTED,
            replace(LOST_HERE, provenance=replace(HERE, program="other")),
            id="another program",
        ),
    ],
)
def test_what_this_machine_does_not_tell_is_measured_in_the_guest(job: Job, run: LeakyRun) -> None:
    """Races, programs of other machines, and what was not lost here."""
    leaky = replace(job, case=replace(job.case, backend="leaky-notify-bare", leaky=True))
    found = calibration(run)
    assert found.lacking([job], [leaky]) == [leaky]
    assert found.reference(job) is None


def test_what_was_lost_in_the_guest_itself_goes_before() -> None:
    """And nothing is run here for its sake."""
    found = calibration(LOST_THERE)
    assert found.lacking_here([ACTED], [LEAKY_IN_GUEST]) == []
    found.note(LOST_HERE)
    reference = found.reference(ACTED)
    assert reference is not None
    assert reference.source == "this run"


def test_nothing_is_run_here_for_a_race_or_for_what_is_here_already() -> None:
    """How often a race is won is the machine's own; a job of this machine is its own twin."""
    race = replace(ACTED, attack=ATTACK)
    assert calibration().lacking_here([race], [replace(LEAKY_IN_GUEST, attack=ATTACK)]) == []
    assert calibration().lacking_here([JOB], [LEAKY]) == []
    act = replace(JOB, attack=ACT)
    assert calibration().lacking_here([act], [replace(LEAKY, attack=ACT)]) == []

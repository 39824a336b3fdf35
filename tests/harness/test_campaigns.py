"""What is run where and in which order, with which attempts and beside which reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.arch import native
from harness import campaign
from harness.calibration import Calibration
from harness.campaign import (
    Pool,
    belongs,
    carry_out_all,
    jobs_of,
    measured,
)
from harness.cases import FEWEST_IN_GUEST, TIMES_DEFAULT, TIMES_LEAKY
from harness.cli import run
from harness.cli.asked import Asked
from harness.cli.load import laboratory
from harness.cli.run import Run, todo_of
from harness.model import Reference, Result, Scenario, Verdict, VerdictKind
from harness.odds import attempts_needed
from harness.places.choice import Driver, Target
from harness.places.local import this_machine
from harness.results import Origin, Store, leaky_run, row_of
from harness.runner import Executors, Job
from tests.harness.campaigning import (
    ABI,
    ATTACKS,
    CHOSEN,
    COMMAND,
    HERE,
    LEAKY,
    LOCAL,
    OF_ACT,
    RACE,
    SCENARIO,
    There,
    jobs,
    no_executor,
)

MOST, MOST_LEAKY = 2000 * TIMES_DEFAULT, 2000 * TIMES_LEAKY
ATTEMPTS = [
    ("as the manifest says", SCENARIO, {}, (2000, MOST), (400, MOST_LEAKY)),
    ("quick", SCENARIO, {"quick": True}, (400, MOST), (400, MOST_LEAKY)),
    ("the user's", SCENARIO, {"attempts": 300}, (300, 300), (300, 300)),
    (
        "the scenario's",
        replace(SCENARIO, attempts=700),
        {},
        (700, MOST),
        (700, MOST_LEAKY),
    ),
    (
        "the user's before the scenario's",
        replace(SCENARIO, attempts=700),
        {"attempts": 3},
        (3, 3),
        (3, 3),
    ),
    ("one act", OF_ACT, {"attempts": 300}, (1, 1), (1, 1)),
]


@pytest.mark.parametrize(
    ("scenario", "asked", "ours", "leaky"),
    [pytest.param(*each, id=name) for name, *each in ATTEMPTS],
)
def test_attempts(
    scenario: Scenario, asked: dict[str, int], ours: tuple[int, int], leaky: tuple[int, int]
) -> None:
    """How many are made at first, and how many at most: what the user asks for is not raised."""
    found = jobs(scenario, **asked)  # type: ignore[arg-type]
    counts = {backend: (job.attempts, job.most) for (_, backend), job in found.items()}
    assert counts == {"ptrace": ours, LEAKY: leaky}
    assert all(job.attack == ATTACKS[str(scenario.attack)] for job in found.values())


def test_what_the_user_asks_for_is_not_lowered() -> None:
    """Of a race in a guest few are enough; with a number of the user's never fewer than that."""
    there = replace(CHOSEN, place="vm:x86_64")
    for asked, fewest in ((None, {FEWEST_IN_GUEST, 0}), (300, {0})):
        found = jobs_of([SCENARIO], ATTACKS, there, attempts=asked, quick=True)
        assert {job.fewest for job in found} == fewest


def test_a_command_is_one_attempt() -> None:
    """Without an attack."""
    (job,) = jobs(COMMAND, attempts=9).values()
    assert (job.attack, job.attempts, job.most) == (None, 1, 1)


def test_what_a_job_belongs_to(tmp_path: Path) -> None:
    """Its place's machine, else this one; nothing where its program is gone."""
    (job,) = (job for (_, backend), job in jobs(SCENARIO).items() if backend == "ptrace")
    here = belongs(job)
    assert here is not None
    assert here.machine == this_machine()
    there = belongs(replace(job, place=There("x")))  # type: ignore[arg-type]
    assert there == replace(here, machine="machine of x")
    gone = replace(job, attack=replace(RACE, program=tmp_path / "gone.c"))
    assert belongs(gone) is None


class Carried:
    """Stands in for run_all(): leaky cases fall in half of their attempts, all others hold."""

    def __init__(self) -> None:
        self.groups: list[tuple[list[Job], int]] = []
        self.asked: set[str] = set()

    def __call__(
        self, given: Sequence[Job], executors: Executors, at_once: int
    ) -> Iterator[Result]:
        self.groups.append((list(given), at_once))
        for job in given:
            kind = VerdictKind.BYPASSED if job.case.leaky else VerdictKind.HELD
            wins = max(job.attempts // 2, 1) if job.case.leaky else 0
            verdict = Verdict(kind=kind, reason="", attempts=job.attempts, wins=wins)
            yield Result(case=job.case, verdict=verdict, provenance=HERE)


def carried(
    monkeypatch: pytest.MonkeyPatch,
    given: Sequence[Job],
    workers: int,
    own: Callable[[Job], Reference | None] = lambda job: None,
    awaited: frozenset[str] = frozenset(),
) -> Carried:
    stand_in, taken = Carried(), list[Result]()
    monkeypatch.setattr(campaign, "run_all", stand_in)
    calibration = Calibration(belongs=lambda job: HERE)

    def late(abis: Iterable[str]) -> frozenset[str]:
        stand_in.asked = {*abis}
        return awaited & stand_in.asked

    crew = Pool(start=no_executor, workers=workers, awaited=late)
    carry_out_all(given, crew, calibration, taken.append, own)
    assert len(taken) == len(given)
    return stand_in


@pytest.mark.parametrize(("workers", "races"), [(4, 2), (3, 1), (2, 1), (1, 1)])
def test_the_order(monkeypatch: pytest.MonkeyPatch, workers: int, races: int) -> None:
    """What others are judged by comes before them, races behind all others and half as many."""
    found = jobs(SCENARIO, OF_ACT, COMMAND)
    given = list(found.values())
    stand_in = carried(monkeypatch, given[::-1], workers)
    order = [
        ({(job.case.scenario.id, job.case.backend) for job in group}, at_once)
        for group, at_once in stand_in.groups
    ]
    assert order == [
        ({("act/x", LEAKY), ("benign/x", "ptrace")}, workers),
        ({("act/x", "ptrace")}, workers),
        ({("race/x", LEAKY)}, races),
        ({("race/x", "ptrace")}, races),
    ]


def test_what_is_being_built_for_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases of an ABI whose C library is awaited, each behind what it is judged by; the races of
    all ABIs come after that.
    """
    ours = jobs(SCENARIO, OF_ACT, COMMAND).values()
    others = [replace(job, case=replace(job.case, abi="i386")) for job in ours]
    stand_in = carried(monkeypatch, [*others, *ours], 2, awaited=frozenset({"i386"}))
    order = [
        {(job.case.abi, job.race, job.case.leaky) for job in each} for each, _ in stand_in.groups
    ]
    still = [{("A", False, True), ("A", False, False)}, {("A", False, False)}]
    late = [{("B", False, True), ("B", False, False)}, {("B", False, False)}]
    both = [{(abi, True, leaky) for abi in "AB"} for leaky in (True, False)]
    names = {"A": ABI, "B": "i386"}
    assert order == [{(names[a], *rest) for a, *rest in each} for each in (*still, *late, *both)]


def test_who_waits_for_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks of this machine only: a command has no program; a guest's is built in its turn."""
    act, command = (jobs(each).values() for each in (OF_ACT, COMMAND))
    there = [replace(job, place=There("x")) for job in act]  # type: ignore[arg-type]
    assert carried(monkeypatch, [*act], 1).asked == {ABI}
    assert carried(monkeypatch, [*command, *there], 1).asked == set()


def test_races_of_guests_take_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind those of this machine, which have two processors each."""
    here = list(jobs(SCENARIO).values())
    there = [replace(job, place=There("x")) for job in here]  # type: ignore[arg-type]
    stand_in = carried(monkeypatch, [*there, *here], 4)
    order = [({job.place is None for job in group}, at_once) for group, at_once in stand_in.groups]
    assert order == [({True}, 2), ({False}, 4)] * 2


def test_the_leaky_ones_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they lost in this run is the reference of those behind them."""
    found = jobs(SCENARIO, OF_ACT, attempts=40)
    stand_in = carried(monkeypatch, list(found.values()), 1)
    carried_out = {
        (job.case.scenario.id, job.case.backend): job
        for group, _ in stand_in.groups
        for job in group
    }
    of_race = carried_out["race/x", "ptrace"].reference
    assert of_race == Reference(backend=LEAKY, attempts=40, wins=20, source="this run")
    of_act = carried_out["act/x", "ptrace"].reference
    assert of_act == Reference(backend=LEAKY, attempts=1, wins=1, source="this run")
    assert carried_out["race/x", LEAKY].reference is None


def test_a_reference_of_its_own_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many attempts as that asks for; where there is none the calibration's stands."""
    own = Reference(backend="all off", attempts=1000, wins=5, source="this run")
    found = jobs(SCENARIO, quick=True)
    stand_in = carried(
        monkeypatch,
        list(found.values()),
        1,
        lambda job: own if job.case.backend == "ptrace" else None,
    )
    (judged,) = stand_in.groups[-1][0]
    assert judged.reference == own
    assert judged.attempts == max(attempts_needed(1000, 5) or 0, 2001)


def test_what_is_measured() -> None:
    """Leaky attacks that ended, and nothing else."""
    leaky = jobs(SCENARIO)["race/x", LEAKY]
    verdict = Verdict(kind=VerdictKind.BYPASSED, reason="", attempts=40, wins=4)
    result = Result(case=leaky.case, verdict=verdict, provenance=HERE)
    found = measured(result)
    assert found is not None
    assert (found.backend, found.attempts, found.wins) == (LEAKY, 40, 4)
    assert (found.campaign, found.provenance) == (None, HERE)
    held = replace(verdict, kind=VerdictKind.HELD, wins=0)
    assert measured(replace(result, verdict=held)) is not None
    unlogged = replace(verdict, kind=VerdictKind.UNLOGGED)
    assert measured(replace(result, verdict=unlogged)) is not None
    ended = {VerdictKind.HELD, VerdictKind.BYPASSED, VerdictKind.UNLOGGED}
    for kind in set(VerdictKind) - ended:
        assert measured(replace(result, verdict=replace(verdict, kind=kind))) is None
    assert measured(replace(result, provenance=None)) is None
    ours = replace(leaky.case, backend="ptrace", leaky=False)
    assert measured(replace(result, case=ours)) is None
    command = jobs(COMMAND)["benign/x", "ptrace"].case
    assert measured(replace(result, case=replace(command, leaky=True))) is None


def test_a_killed_leaky_attack_counts_as_one_attempt() -> None:
    """Its program gave no number."""
    leaky = jobs(SCENARIO)["race/x", LEAKY]
    verdict = Verdict(kind=VerdictKind.BYPASSED, reason="", attempts=0, wins=1)
    run = leaky_run(row_of(Result(case=leaky.case, verdict=verdict, provenance=HERE)), 3)
    assert run is not None
    assert (run.attempts, run.wins, run.campaign) == (1, 1, 3)


IN_GUEST = replace(
    LOCAL, arch=native().name, kernel="6.1", here=(ABI,), abis=(ABI,), driver=Driver.SNAPSHOT
)


class Ready:
    """Stands in for Places: every place is there."""

    def __init__(self, *_: object) -> None:
        pass

    def placed(self, given: Sequence[Job]) -> tuple[list[Job], list[Job]]:
        return [replace(job, place=There("guest")) for job in given], []  # type: ignore[arg-type]

    def beside(self, given: Sequence[Job]) -> list[Job]:
        return self.placed(given)[0]


class Silent:
    """Stands in for what is shown."""

    def __init__(self) -> None:
        self.totals: list[int] = []

    def expect(self, total: int) -> None:
        self.totals.append(total)

    def take(self, *_: object) -> None:
        """Nobody looks."""

    say = preparing = take


def test_guests_are_spared_what_this_machine_can_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Leaky enforcers run here first, those of races in the guest; only what nothing was lost to
    here goes to the guest after all.
    """
    lab = (SCENARIO, OF_ACT, replace(OF_ACT, id="act/held"))
    everything = [
        replace(job, case=replace(job.case, place=IN_GUEST.name, kernel="6.1"))
        for job in jobs_of(lab, ATTACKS, CHOSEN, attempts=9, quick=True)
    ]
    judged = [job for job in everything if not job.case.leaky]
    leaky = [job for job in everything if job.case.leaky]
    calls: list[list[Job]] = []

    def carry(
        given: Sequence[Job], pool: Pool, calibration: Calibration, take: Callable[[Result], None]
    ) -> None:
        calls.append(list(given))
        for job in given:
            lost = job.case.leaky and job.case.scenario.id != "act/held"
            kind = VerdictKind.BYPASSED if lost else VerdictKind.HELD
            verdict = Verdict(kind=kind, reason="", attempts=1, wins=int(lost))
            result = Result(case=job.case, verdict=verdict, provenance=belongs(job))
            if (found := measured(result)) is not None:
                calibration.note(found)
            take(result)

    monkeypatch.setattr(run, "Places", Ready)
    monkeypatch.setattr(run, "carry_out_all", carry)
    store, shown = Store(tmp_path / "results.sqlite"), Silent()
    carrying = Run(
        store=store,
        campaign=store.begin([], 3, Origin(root="/tree", tree="", machine="")),
        write=lambda row: None,
        shown=shown,  # type: ignore[arg-type]
    )
    crew = Pool(start=no_executor, workers=1)
    carrying.carry_out((IN_GUEST,), judged, leaky, lambda _: crew, again=False)
    store.close()
    here, there = (
        {(job.case.scenario.id, job.case.place, job.case.leaky) for job in call} for call in calls
    )
    guest = IN_GUEST.name
    assert here == {("act/x", "local", True), ("act/held", "local", True)}
    assert there == {
        ("act/held", guest, False),
        ("act/held", guest, True),
        ("act/x", guest, False),
        ("race/x", guest, False),
        ("race/x", guest, True),
    }
    sent = [len(call) for call in calls]
    assert shown.totals == [sent[0] + len(judged), sum(sent)]
    assert len(carrying.rows) == sum(sent)


@pytest.mark.parametrize(
    ("where", "asked", "whole"),
    [
        pytest.param(LOCAL, {}, True, id="here"),
        pytest.param(LOCAL, {"quick": True}, False, id="here, quick"),
        pytest.param(IN_GUEST, {}, False, id="in a guest"),
        pytest.param(IN_GUEST, {"all_ways": True}, True, id="in a guest, all ways"),
        pytest.param(IN_GUEST, {"all_ways": True, "quick": True}, False, id="quick all the same"),
    ],
)
def test_a_guest_runs_one_way_of_each_attack(
    where: Target, asked: dict[str, bool], whole: bool
) -> None:
    """Machines are slow where they are emulated; --all-ways takes the rest."""
    name = "indirect/hardlink-alias["
    wish = replace(Asked.quickly(), quick=False, keywords=(name,), wanted=("ptrace",))
    wish = replace(wish, **asked)  # type: ignore[arg-type]
    found = todo_of(laboratory(), wish, [where])
    every = ATTACKS["indirect/hardlink-alias"].expanded(ABI)
    assert len(every) > 2
    assert (len(found) == len(every)) is whole
    assert {job.case.variant for job in found} <= {*every}

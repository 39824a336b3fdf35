"""Cases of one attack under several backends in one copy: whose they are, and what each is told."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from harness.model import Observation, Outcome, RunKind, VerdictKind
from harness.places.controls import CONTROLS, cases
from harness.places.isolation import Isolation
from harness.places.local import Answer, Asked, Place, PlaceError
from harness.runner import Job, carry_out, carry_out_each, companies
from tests.harness.scripted import COMMAND, EFFECT, JOB, RACE, REFUSED, Scripted

BENIGN, DIRECT, ATTACK, AGAIN = (
    RunKind.BENIGN,
    RunKind.DIRECT,
    RunKind.ATTACK,
    RunKind.CONTROL_AGAIN,
)
MODULES = ("apparmor", "tomoyo", "bpf-lsm")


class Machine(Scripted):
    """Answers every run by its kind; `wrong` are the backends under which the attack breaks, where
    others are beside them. `silent`: no control shows anything.
    """

    def __init__(self, *wrong: str, silent: bool = False, lost: int = 0) -> None:
        super().__init__()
        self.wrong = wrong
        self.silent = silent
        self.lost = lost

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        self.asked.append((request, timeout_s))
        if len(self.asked) <= self.lost:
            raise PlaceError("two machines were lost")
        runs: Any = request["runs"]
        seen: list[Observation] = []
        for run in runs:
            kind = RunKind(run["kind"])
            seen.append(self._seen(kind, run["backend"], alone=len(runs) == 5))
            if self.silent:
                break
        effects = 0 if self.silent else 2
        again = replace(EFFECT, kind=AGAIN, effect=not self.silent, repeats=2, effects=effects)
        return Answer(observations=(*seen, again), isolation=self.isolation)

    def _seen(self, kind: RunKind, name: str, *, alone: bool) -> Observation:
        if kind in CONTROLS:
            return replace(EFFECT, kind=kind, effect=not self.silent)
        if kind is BENIGN:
            return replace(EFFECT, kind=kind)
        if kind is ATTACK and name in self.wrong and not alone:
            return Observation(kind=kind, outcome=Outcome.BROKEN, detail="in company")
        return replace(REFUSED, kind=kind, detail=name)


def jobs(place: Place | None, *names: str, job: Job = JOB) -> list[Job]:
    return [replace(job, case=replace(job.case, backend=name), place=place) for name in names]


def in_variant(given: list[Job], variant: str) -> list[Job]:
    return [replace(each, case=replace(each.case, variant=variant)) for each in given]


class Copies(Machine):
    """Counts the copies, and how many requests each of them got."""

    def __init__(self) -> None:
        super().__init__()
        self.served: list[int] = []

    def run_each(self, asked: Sequence[Asked]) -> list[Answer]:
        self.served.append(len(asked))
        return [self.run(*each) for each in asked]


def sizes(given: list[Job]) -> list[int]:
    return [len(each) for each in companies(given)]


def test_who_shares_a_machine() -> None:
    """In guests backends that are judged in such machines only, for up to four variants of one
    attack, but of a race for one; on this machine all, for one variant, which leave nothing behind.
    """
    here, there = Machine(), Machine()
    there.machine = "another"
    together = jobs(here, *MODULES)
    other_way, *more = (in_variant(together, name) for name in ("slashes", "x", "y", "z"))
    leaky = [replace(each, case=replace(each.case, leaky=True)) for each in together]
    assert sizes(together) == [3]
    assert sizes([*together, *other_way]) == [6]
    assert sizes(list(itertools.chain(together, other_way, *more))) == [12, 3]
    races = jobs(here, *MODULES, job=replace(JOB, attack=RACE))
    assert sizes([*races, *in_variant(races, "slashes")]) == [3, 3]
    assert sizes([*together, *jobs(there, *MODULES)]) == [3, 3]
    assert sizes(leaky) == [1, 1, 1]
    local = jobs(None, "ptrace", "landlock", "leaky-notify-bare")
    assert sizes(local) == [3]
    assert sizes([*local, *(replace(each, case=other_way[0].case) for each in local)]) == [3, 3]
    # One leaky race may be measured in two machines, of which one is booted with other modules.
    assert sizes([leaky[0], replace(leaky[0], place=there)]) == [1, 1]
    assert sizes(jobs(here, "ptrace", "seccomp")) == [1, 1]
    assert [len(each) for each in companies([together[0], *other_way, *together[1:]])] == [6]


def test_bare_runs_are_made_once() -> None:
    """Before the first backend and behind the last one; each has its three runs between."""
    place = Machine()
    results = carry_out_each(jobs(place, *MODULES))
    ((request, _),) = place.asked
    runs: Any = request["runs"]
    bare = [("control", "none"), ("direct control", "none")]
    own = [(kind, name) for name in MODULES for kind in ("benign", "direct", "attack")]
    assert [(run["kind"], run["backend"]) for run in runs] == [*bare, *own]
    assert [result.case.backend for result in results] == list(MODULES)
    for name, result in zip(MODULES, results, strict=True):
        kinds = [each.kind for each in result.observations]
        assert kinds == [*CONTROLS, BENIGN, DIRECT, ATTACK, AGAIN]
        under = [each.detail for each in result.observations if each.kind in (DIRECT, ATTACK)]
        assert under == [name] * 2


@pytest.mark.parametrize(
    ("isolation", "asked"), [(Isolation.USER, [8]), (Isolation.PLAIN, [5, 5])], ids=str
)
def test_nobody_is_in_company_without_walls(
    isolation: Isolation, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this machine a target may reach what comes behind it, where no namespace keeps it."""
    here = Machine()
    monkeypatch.setattr("harness.runner.available", lambda: isolation)
    monkeypatch.setattr("harness.runner._local_place", lambda: here)
    carry_out_each(jobs(None, "ptrace", "notify"))
    requests: list[Any] = [request for request, _ in here.asked]
    assert [len(request["runs"]) for request in requests] == asked


def test_variants_share_a_copy_and_nothing_else() -> None:
    """Each has its bare runs before and behind its own."""
    place = Copies()
    given = jobs(place, *MODULES)
    results = carry_out_each([*given, *in_variant(given, "slashes")])
    assert place.served == [2]
    asked: list[Any] = [request for request, _ in place.asked]
    told = [(each["variant"], len(each["runs"])) for each in asked]
    assert told == [("dots", 11), ("slashes", 11)]
    assert [result.case.variant for result in results] == ["dots"] * 3 + ["slashes"] * 3
    assert {result.verdict for result in results[:3]} == {result.verdict for result in results[3:]}
    assert all(len(each.observations) == 6 for each in results)


def test_the_verdict_is_that_of_one_alone() -> None:
    """The same observations, so the same judgement."""
    together = carry_out_each(jobs(Machine(), *MODULES))
    alone = [carry_out(job) for job in jobs(Machine(), *MODULES)]
    assert [each.verdict for each in together] == [each.verdict for each in alone]
    assert [each.observations for each in together] == [each.observations for each in alone]


def test_time_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each case counts its own second and a third of the one in which the copy was used."""
    clock = SimpleNamespace(monotonic=itertools.count().__next__)
    monkeypatch.setattr("harness.runner.time", clock)
    results = carry_out_each(jobs(Machine(), *MODULES))
    assert [result.seconds for result in results] == [1.333] * len(MODULES)


@pytest.mark.parametrize(
    ("place", "asked"),
    [
        pytest.param(Machine("tomoyo"), [11, 5], id="one is broken beside the others"),
        pytest.param(Machine(lost=1), [11, 5, 5, 5], id="the machine is lost"),
    ],
)
def test_what_is_broken_in_company_is_tried_alone(place: Machine, asked: list[int]) -> None:
    """In a copy of its own; what the others have stays theirs."""
    results = carry_out_each(jobs(place, *MODULES))
    requests: list[Any] = [request for request, _ in place.asked]
    assert [len(request["runs"]) for request in requests] == asked
    assert all(len(each.observations) == 6 for each in results)
    assert not any(each.outcome is Outcome.BROKEN for each in results[1].observations)


def test_one_that_cannot_be_stated_is_left_out() -> None:
    """It is inexpressible, and nobody else is."""
    text = JOB.case.scenario.policy.replace("default: permit", "default: deny[eacces]")
    scenario = replace(JOB.case.scenario, policy=text)
    job = replace(JOB, case=replace(JOB.case, scenario=scenario))
    place = Machine()
    results = carry_out_each([*jobs(place, *MODULES), *jobs(place, "selinux", job=job)])
    assert results[-1].verdict.kind is VerdictKind.INEXPRESSIBLE
    assert VerdictKind.INEXPRESSIBLE not in {each.verdict.kind for each in results[:-1]}
    assert len(place.asked) == 1


def test_requests_that_differ_are_not_merged() -> None:
    """Whose bare runs are others, or whose files: the control would not be theirs."""
    place = Machine()
    first, *others = jobs(place, *MODULES)
    more = replace(others[0], attempts=7)
    limited = replace(JOB.case.scenario.limits, memory_bytes=1 << 29)
    scenario = replace(JOB.case.scenario, limits=limited)
    other = replace(others[1], case=replace(others[1].case, scenario=scenario))
    carry_out_each([first, more, other])
    requests: list[Any] = [request for request, _ in place.asked]
    assert [len(request["runs"]) for request in requests] == [5, 5, 5]


def test_a_control_that_shows_nothing_is_everybodys() -> None:
    """Nothing is run behind it, and no case is judged by it."""
    place = Machine(silent=True)
    results = carry_out_each(jobs(place, *MODULES))
    assert {each.verdict.kind for each in results} == {VerdictKind.INAPPLICABLE}
    assert [[each.kind for each in result.observations] for result in results] == (
        [[RunKind.CONTROL, AGAIN]] * 3
    )
    assert len(place.asked) == 1


def test_commands_share_a_machine_too() -> None:
    """What a program does bare is asked once."""
    place = Machine()
    carry_out_each(jobs(place, *MODULES, job=COMMAND))
    requests: list[Any] = [request for request, _ in place.asked]
    kinds = [run["kind"] for run in requests[0]["runs"]]
    assert kinds == ["control", "benign", "benign", "benign"]


def test_each_case_begins_where_a_run_comes_again() -> None:
    """All have the bare runs from before; the control behind them is nobody's own."""
    kinds = (*CONTROLS, BENIGN, DIRECT, ATTACK, BENIGN, DIRECT, ATTACK, AGAIN)
    seen = [replace(EFFECT, kind=kind, detail=str(number)) for number, kind in enumerate(kinds)]
    first, second = cases(seen)
    assert [each.detail for each in first.values()] == ["0", "1", "2", "3", "4"]
    assert [each.detail for each in second.values()] == ["0", "1", "5", "6", "7"]
    assert cases(seen[:1]) == [{RunKind.CONTROL: seen[0]}]

"""From a job to its request, and from what a place answers to a result; and many of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from enforcer.arch import native
from enforcer.mechanisms.contract import DEFAULT_DEFENCES, Defence
from harness import runner
from harness.backends import backend
from harness.build import BuildError
from harness.evidence import Attributed
from harness.model import (
    Observation,
    Outcome,
    Result,
    RunKind,
    Verdict,
    VerdictKind,
)
from harness.places.isolation import Isolation
from harness.places.layout import Layout
from harness.places.local import PlaceError
from harness.provenance import provenance
from harness.rounds import ENOUGH_WINS
from harness.runner import (
    ATTEMPT_S,
    Executors,
    Job,
    broken_result,
    carry_out,
    carry_out_each,
    prepare,
    run_all,
)
from harness.scenario import parse_policies, substitute
from tests.harness.scripted import (
    ABI,
    ACT,
    CASE,
    COMMAND,
    COMMAND_SCENARIO,
    DENIED,
    EFFECT,
    ENFORCING,
    JOB,
    KILLED,
    LOST,
    OF_RACE,
    POLICY,
    RACE,
    REFUSED,
    RUNS,
    SCENARIO,
    WITH_DIRECT,
    Scripted,
)


def told(job: Job, *changes: Observation) -> Verdict:
    """The verdict where these runs are others."""
    return carry_out(job, Scripted({**RUNS, **{run.kind: run for run in changes}})).verdict


LIES = [
    ("nothing is wrong", JOB, (), VerdictKind.HELD),
    ("nothing is wrong with the race", OF_RACE, (), VerdictKind.HELD),
    (
        "a backend that writes its witness and enforces nothing",
        JOB,
        (replace(EFFECT, kind=RunKind.DIRECT),),
        VerdictKind.NOT_ENFORCING,
    ),
    (
        "such a backend, and a direct mode with a typo",
        JOB,
        (replace(EFFECT, kind=RunKind.DIRECT_CONTROL, effect=False, outcome=Outcome.BLOCKED),),
        VerdictKind.INAPPLICABLE,
    ),
    (
        "such a backend, with everything let through",
        JOB,
        (replace(EFFECT, kind=RunKind.DIRECT), replace(EFFECT, kind=RunKind.ATTACK)),
        VerdictKind.NOT_ENFORCING,
    ),
    ("killed from outside", JOB, (replace(KILLED, kind=RunKind.ATTACK),), VerdictKind.BROKEN),
    (
        "killed by the enforcer",
        JOB,
        (replace(KILLED, kind=RunKind.ATTACK, events=(ENFORCING, {**DENIED, "action": "kill"})),),
        VerdictKind.HELD,
    ),
    (
        "a race killed by the enforcer",
        OF_RACE,
        (replace(KILLED, kind=RunKind.ATTACK, events=(ENFORCING, {**DENIED, "action": "kill"})),),
        VerdictKind.BROKEN,
    ),
    (
        "a leaky enforcer that always loses",
        replace(OF_RACE, reference=replace(LOST, attempts=200, wins=200)),
        (),
        VerdictKind.BROKEN,
    ),
    ("no leaky enforcer", replace(JOB, reference=None), (), VerdictKind.BROKEN),
    (
        "fewer calls judged than attempts claimed",
        OF_RACE,
        (
            replace(
                REFUSED,
                kind=RunKind.ATTACK,
                events=(ENFORCING, {"event": "end", "judged": {"openat": 99, "stat": 900}}),
            ),
        ),
        VerdictKind.BROKEN,
    ),
    (
        "a filter counts nothing",
        replace(OF_RACE, case=replace(OF_RACE.case, backend="landlock")),
        (replace(REFUSED, kind=RunKind.ATTACK, events=(ENFORCING,)),),
        VerdictKind.HELD,
    ),
    (
        "leaky ones are not asked for their count, nor for who lost beside them",
        replace(
            OF_RACE,
            case=replace(OF_RACE.case, backend="leaky-ptrace-bare", leaky=True),
            most=100,
            reference=None,
        ),
        (replace(REFUSED, kind=RunKind.ATTACK, events=(ENFORCING,)),),
        VerdictKind.HELD,
    ),
    (
        "fewer attempts than were asked for",
        OF_RACE,
        (replace(REFUSED, kind=RunKind.ATTACK, attempts=99),),
        VerdictKind.BROKEN,
    ),
    (
        "no log asked for",
        JOB,
        (replace(REFUSED, events=(ENFORCING,)),),
        VerdictKind.HELD,
    ),
    (
        "the direct act is not in the log that is asked for",
        replace(JOB, case=replace(CASE, scenario=replace(SCENARIO, logged=("ptrace",)))),
        (replace(REFUSED, events=(ENFORCING, {**DENIED, "call": "stat"})),),
        VerdictKind.UNLOGGED,
    ),
    (
        "the attack is not in the log that is asked for",
        replace(JOB, case=replace(CASE, scenario=replace(SCENARIO, logged=("ptrace",)))),
        (replace(REFUSED, kind=RunKind.ATTACK, events=(ENFORCING, {**DENIED, "values": {}})),),
        VerdictKind.UNLOGGED,
    ),
    (
        "the log of another backend is asked for",
        replace(JOB, case=replace(CASE, scenario=replace(SCENARIO, logged=("notify",)))),
        (replace(REFUSED, events=(ENFORCING,)),),
        VerdictKind.HELD,
    ),
]


@pytest.mark.parametrize(
    ("job", "changes", "kind"), [pytest.param(*each, id=name) for name, *each in LIES]
)
def test_no_mistake_is_held(job: Job, changes: tuple[Observation, ...], kind: VerdictKind) -> None:
    """What a job asks of its evidence, seen by what its verdict is."""
    partial = replace(job.case.scenario, partial=("landlock",))
    job = replace(job, case=replace(job.case, scenario=partial))
    assert told(job, *changes).kind is kind


def test_a_result_says_what_it_belongs_to() -> None:
    """Program, policy, modules and the place's machine; and how the runs were walled in."""
    place = Scripted()
    result = carry_out(JOB, place)
    assert result.case == CASE
    assert result.provenance == provenance(SCENARIO, ACT, ABI, "m")
    assert result.isolation == Isolation.USER
    assert result.observations == tuple(RUNS.values())
    assert carry_out(replace(JOB, place=place)).isolation == Isolation.USER


@pytest.mark.parametrize("isolation", Isolation)
def test_each_verdict_says_what_is_open(isolation: Isolation) -> None:
    """Where runs are not walled in, held as well as bypassed."""
    for observations in (RUNS, {**RUNS, RunKind.ATTACK: replace(EFFECT, kind=RunKind.ATTACK)}):
        result = carry_out(JOB, Scripted(observations, isolation=isolation))
        assert result.isolation == isolation
        assert isolation.reachable in result.verdict.reason
        assert ("not walled in" in result.verdict.reason) is (isolation is Isolation.PLAIN)


@pytest.mark.parametrize(
    "error",
    [PlaceError("lost"), OSError(28, "full"), ValueError("odd"), BuildError("no cc")],
    ids=lambda error: type(error).__name__,
)
def test_our_own_failure_is_broken(error: Exception) -> None:
    """Never held and never skipped; its name and text are the reason."""
    verdict = carry_out(JOB, Scripted(error=error)).verdict
    assert verdict.kind is VerdictKind.BROKEN
    assert type(error).__name__ in verdict.reason
    assert str(error) in verdict.reason


def test_a_program_that_is_gone_is_broken(tmp_path: Path) -> None:
    """Nothing is asked of the place."""
    place = Scripted()
    result = carry_out(replace(JOB, attack=replace(ACT, program=tmp_path / "gone.c")), place)
    assert (result.verdict.kind, result.provenance, place.asked) == (VerdictKind.BROKEN, None, [])


def test_what_no_rule_can_say_is_inexpressible() -> None:
    """A name is in memory, which no filter reads; in part it runs where that is asked for."""
    seccomp = replace(JOB, case=replace(CASE, backend="seccomp"))
    place = Scripted()
    result = carry_out(seccomp, place)
    assert (result.verdict.kind, place.asked) == (VerdictKind.INEXPRESSIBLE, [])
    assert result.provenance is not None
    in_part = replace(SCENARIO, partial=("seccomp",))
    assert carry_out(replace(seccomp, case=replace(seccomp.case, scenario=in_part)), place)
    assert len(place.asked) == 1


def request(job: Job, place: Scripted | None = None) -> dict[str, Any]:
    return cast("dict[str, Any]", prepare(job, place or Scripted()))


def runs(job: Job) -> dict[str, dict[str, Any]]:
    found = request(job)["runs"]
    return {run["kind"]: run for run in found}


def test_the_runs_of_an_attack() -> None:
    """In their order: bare ones under no rule at all, judged ones under the case's backend; only
    the judged attack goes on behind a win.
    """
    found = runs(replace(OF_RACE, attempts=7))
    assert list(found) == ["control", "direct control", "benign", "direct", "attack"]
    assert [run["mode"] for run in found.values()] == [
        *("attack", "direct", "benign", "direct", "attack")
    ]
    assert [run["backend"] for run in found.values()] == ["none"] * 2 + ["ptrace"] * 3
    assert [run["stop"] for run in found.values()] == [True, True, True, True, False]
    assert {run["attempts"] for run in found.values()} == {7}
    assert {tuple(run["command"]) for run in found.values()} == {()}
    assert [run["plan"]["mechanism"] for run in found.values()] == ["none"] * 2 + ["ptrace"] * 3
    text = substitute(POLICY, Layout(root=Path("/srv")).placeholders())
    policies = parse_policies(text, "yaml", "y.yaml")
    plan = backend("ptrace").compile(policies, native().abis).to_json()
    assert found["attack"]["plan"] == found["benign"]["plan"] == found["direct"]["plan"] == plan
    assert "/srv/shut/object" in str(plan)


def test_the_runs_of_a_command() -> None:
    """Without a direct act there is none, and nothing to see; with one it is tried bare too."""
    plain = request(COMMAND)
    assert [run["kind"] for run in plain["runs"]] == ["control", "benign"]
    assert [run["command"] for run in plain["runs"]] == [["cat", "/srv/open/object"]] * 2
    assert (plain["program"], plain["effect"], plain["race"]) == (None, None, False)
    more = request(WITH_DIRECT)
    wanted = {
        "control": "/srv/open/object",
        "direct control": "/srv/shut/object",
        "benign": "/srv/open/object",
        "direct": "/srv/shut/object",
    }
    assert {run["kind"]: run["command"][1] for run in more["runs"]} == wanted
    assert [run["backend"] for run in more["runs"]] == ["none", "none", "ptrace", "ptrace"]
    assert (more["effect"], more["sentinel"]) == ("read", "file")
    assert more["files"] == {"a": "/srv/open"}


def test_what_else_a_request_has() -> None:
    """The program, what is planted, what is seen, and where."""
    found = request(replace(OF_RACE, attack=replace(RACE, needs=("io_uring",))))
    assert Path(found["program"]).name.startswith(f"path-race-{ABI}-")
    assert (found["variant"], found["sentinel"], found["effect"]) == ("default", "file", "read")
    assert found["race"] is True
    assert request(JOB)["race"] is False
    assert request(JOB)["variant"] == "dots"
    assert found["needs"] == ["io_uring"]
    assert found["layout"] == Layout(root=Path("/srv")).to_json()


def test_defences_of_the_case_are_compiled_in() -> None:
    """Those that are on, instead of the backend's own choice."""
    none = replace(JOB, case=replace(CASE, defences=frozenset[Defence]()))
    every = replace(JOB, case=replace(CASE, defences=DEFAULT_DEFENCES))
    assert runs(every)["attack"]["plan"] == runs(JOB)["attack"]["plan"]
    assert runs(none)["attack"]["plan"] != runs(JOB)["attack"]["plan"]
    assert runs(none)["control"]["plan"] == runs(JOB)["control"]["plan"]


@pytest.mark.parametrize(
    ("job", "patience", "timeout_s"),
    [
        (JOB, 1.0, 10.0),
        (JOB, 3.0, 30.0),
        (replace(JOB, attempts=1000), 1.0, 10.0),
        (OF_RACE, 1.0, 10.0 + 100 * ATTEMPT_S),
        (OF_RACE, 2.0, 2 * (10.0 + 100 * ATTEMPT_S)),
        (COMMAND, 2.0, 20.0),
    ],
)
def test_the_time_of_a_run(job: Job, patience: float, timeout_s: float) -> None:
    """The scenario's, more for each attempt of a race, all of it longer on a slow machine; the
    place waits for every run that there may be, the control's repetitions among them.
    """
    place = Scripted(patience=patience)
    carry_out(job, place)
    (asked, waited_s) = place.asked[0]
    assert asked["limits"]["timeout_s"] == pytest.approx(timeout_s)
    assert waited_s == pytest.approx(timeout_s * 7)


def test_which_jobs_are_races() -> None:
    """The attack's manifest says so; a command has none."""
    assert OF_RACE.race
    assert not JOB.race
    assert not COMMAND.race


NAMES = "abcdef"
JOBS = tuple(
    replace(COMMAND, case=replace(COMMAND.case, scenario=replace(COMMAND_SCENARIO, id=name)))
    for name in NAMES
)


class Pool:
    """Executors whose workers carry nothing out; in the nth of them these cases are lost."""

    def __init__(self, *lost: str) -> None:
        self.lost = list(lost)
        self.sent: list[list[str]] = []

    def start(self) -> Executor:
        self.sent.append([])
        return _Executor(self.sent[-1], self.lost.pop(0) if self.lost else "")


class _Executor(Executor):
    def __init__(self, sent: list[str], lost: str) -> None:
        self._sent = sent
        self._lost = lost
        self._dead = False

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        assert function is carry_out_each
        ((job,),) = arguments
        if self._dead:
            raise BrokenExecutor("a worker died before")
        name = job.case.scenario.id
        self._sent.append(name)
        future: Future[Any] = Future()
        if name in self._lost:
            self._dead = True
            future.set_exception(BrokenExecutor(f"{name} died"))
        else:
            verdict = Verdict(kind=VerdictKind.HELD, reason=name)
            future.set_result((Result(case=job.case, verdict=verdict),))
        return future


def test_results_come_as_they_are_made() -> None:
    """So many at once and no more, every job once, in one executor."""
    pool = Pool()
    coming = run_all(JOBS, Executors(pool.start), 2)
    first = next(coming)
    assert pool.sent == [["a", "b"]]
    found = [first, *coming]
    assert sorted(result.verdict.reason for result in found) == list(NAMES)
    assert sorted("".join(pool.sent[0])) == list(NAMES)
    assert len(pool.sent) == 1
    assert list(run_all((), Executors(pool.start), 2)) == []


LOST_CASES = [
    ("alone it does not die", 1, ("a",), ["a", "abcdef"], ""),
    ("it dies again", 1, ("a", "a"), ["a", "a", "bcdef"], "a"),
    ("two that die", 1, ("a", "a", "b", "b"), ["a", "a", "b", "b", "cdef"], "ab"),
    ("the last one", 1, ("f", "f"), ["abcdef", "f"], "f"),
    ("beside one that has ended", 2, ("b", "b"), ["ab", "b", "cdef"], "b"),
    ("before the other one is sent", 2, ("a",), ["a", "abcdef"], ""),
]


@pytest.mark.parametrize(
    ("at_once", "lost", "sent", "broken"),
    [pytest.param(*each, id=name) for name, *each in LOST_CASES],
)
def test_only_the_case_that_kills_workers_is_broken(
    at_once: int, lost: tuple[str, ...], sent: list[str], broken: str
) -> None:
    """What was running when a worker died is tried once more, each alone, in a new executor; so
    is what can no longer be sent to the one that died.
    """
    pool = Pool(*lost)
    coming = run_all(JOBS, Executors(pool.start), at_once)
    results = list(itertools.islice(coming, 2 * len(JOBS)))
    assert {each.case.scenario.id: each.verdict.kind for each in results} == {
        name: VerdictKind.BROKEN if name in broken else VerdictKind.HELD for name in NAMES
    }
    assert len(results) == len(JOBS)
    assert ["".join(sorted(each)) for each in pool.sent] == sent


def test_workers_start_once() -> None:
    """For all that is sent, until they are let go of; what is sent then has new ones."""
    pool = Pool()
    executors = Executors(pool.start)
    for _ in range(2):
        list(run_all(JOBS, executors, 2))
    assert len(pool.sent) == 1
    executors.close()
    list(run_all(JOBS, executors, 2))
    assert [len(each) for each in pool.sent] == [12, 6]


def test_a_broken_result_has_its_reason() -> None:
    """Nothing ran, and it belongs to nothing."""
    result = broken_result(JOB, "no place")
    assert result.verdict == Verdict(kind=VerdictKind.BROKEN, reason="no place")
    assert (result.case, result.observations, result.provenance) == (CASE, (), None)


def test_what_is_asked_of_the_log() -> None:
    """Calls of the manifest, on the denied object of the place's layout."""
    evidence = runner._asked(JOB, Scripted())
    calls = ACT.direct_calls("dots")
    assert evidence.direct == Attributed(calls=calls, denied="/srv/shut/object")
    assert evidence.attack.calls == ACT.attack_calls("dots")
    of_command = runner._asked(WITH_DIRECT, Scripted())
    assert of_command.direct == Attributed(denied="/srv/shut/object")
    assert (of_command.command, evidence.command) == (True, False)


def test_a_yardstick_makes_no_more_attempts_than_its_manifest_says() -> None:
    """However many the judged race is asked for; it may go on to as many, and fewer stay fewer."""
    many = replace(OF_RACE, attempts=200_000, most=200_000)
    leaky = replace(many, case=replace(many.case, leaky=True))
    lower = RACE.attempts.quick
    assert leaky.as_yardstick() == replace(leaky, attempts=lower, enough=ENOUGH_WINS)
    assert replace(leaky, attempts=lower - 1).as_yardstick().attempts == lower - 1
    assert many.as_yardstick() == many
    act = replace(leaky, attack=ACT, attempts=1)
    assert act.as_yardstick() == act


def test_only_a_yardstick_ends_behind_enough_wins() -> None:
    """And of its runs the judged attack alone: one win ends the others."""
    leaky = replace(OF_RACE, case=replace(OF_RACE.case, leaky=True))
    assert {run["enough"] for run in runs(leaky).values()} == {0}
    found = {kind: run["enough"] for kind, run in runs(leaky.as_yardstick()).items()}
    assert found == {**dict.fromkeys(found, 0), "attack": ENOUGH_WINS}

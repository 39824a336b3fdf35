"""Cases to results: compile and build on the host, run in a place, let the oracle judge.

Talks to `concurrent.futures.Executor` only. The caller is the one writer of results.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import signal
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from enforcer.call import Action
from enforcer.mechanisms.contract import Inexpressible, Plan
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.problem import PolicyError
from enforcer.syscalls.privileges import CAPABILITIES
from harness.attack import Attack, AttackKind, ManifestError
from harness.backends import (
    EXTERNAL,
    BrokenBackend,
    backend,
    is_external,
    needs_machine,
)
from harness.backends.life import Backend
from harness.build import BuildError, build, build_source
from harness.evidence import attributed
from harness.model import (
    Case,
    Effect,
    Limits,
    Provenance,
    Reference,
    Result,
    RunKind,
    Scenario,
    Verdict,
    VerdictKind,
)
from harness.oracle import Evidence, judge
from harness.places.controls import CONTROLS
from harness.places.isolation import Isolation, available
from harness.places.local import Answer, Asked, LocalPlace, Place, PlaceError, Sharing
from harness.plans import plan_of
from harness.process import end_with_parent
from harness.provenance import provenance
from harness.rounds import ENOUGH_WINS, next_round, pooled
from harness.scenario import substitute
from harness.together import Answered, merged, parted

CONTROL = "none"
MODES = {
    RunKind.CONTROL: "attack",
    RunKind.DIRECT_CONTROL: "direct",
    RunKind.BENIGN: "benign",
    RunKind.DIRECT: "direct",
    RunKind.ATTACK: "attack",
}
"""The runs that are asked for, in their order, and what an attack program is told to do in each."""
GATE = EXTERNAL / "gate.c"
_OURS = (BuildError, PlaceError, PolicyError, OSError, ValueError, ImportError)
_THEIRS = (BrokenBackend, ManifestError)
"""What breaks a case; of the second the text is enough."""
VARIANTS_TOGETHER = 4
"""In one copy of a machine: more would leave other workers without work at a run's end."""
ATTEMPT_S = 0.05  # of a race, added to its limit: an idle machine needs a hundredth of it


@dataclass(frozen=True, kw_only=True)
class Job:
    """One case, ready to be sent to a worker; without a place it runs on this machine.

    A race is judged beside `reference`, the same race against a leaky backend, and may be given up
    to `most` attempts: a leaky one that won too few goes on, another gets what its reference asks,
    which may be fewer than `attempts`, too, but not fewer than `fewest`, where that is not 0.
    A leaky race ends behind `enough` wins, where that is not 0.
    """

    case: Case
    attack: Attack | None
    attempts: int
    most: int = 0
    fewest: int = 0
    place: Place | None = None
    reference: Reference | None = None
    enough: int = 0

    @property
    def race(self) -> bool:
        return self.attack is not None and self.attack.kind is AttackKind.RACE

    @property
    def rung(self) -> int | None:
        """The delay between two flips to begin with, where a leaky backend has shown one."""
        return self.reference.rung if self.reference else None

    def as_yardstick(self) -> Job:
        """Run for the sake of others: of a leaky race the win rate alone is wanted, for which the
        manifest's lower number serves, and more rounds where that is not enough; with enough wins
        it ends (the lower end of the interval of its rate is the same, however it was stopped).
        """
        if self.attack is None or not (self.race and self.case.leaky):
            return self
        attempts = min(self.attempts, self.attack.attempts.quick)
        return replace(self, attempts=attempts, enough=ENOUGH_WINS)

    def limits(self, place: Place) -> Limits:
        """The scenario's, with time for every attempt of a race, on a machine as slow as this."""
        limits = self.case.scenario.limits
        own = self.attempts * ATTEMPT_S if self.race else 0.0
        return replace(limits, timeout_s=(limits.timeout_s + own) * place.patience)


def carry_out(job: Job, place: Place | None = None) -> Result:
    """Everything for one case, in the worker. Raises nothing that a case can cause."""
    started = time.monotonic()
    where = place or job.place or _local_place()
    answer = Answer(observations=(), isolation="")
    evidence = Evidence(observations={})
    known: Provenance | None = None
    try:
        if job.attack is not None and job.attack.mistakes:
            raise ManifestError(job.attack.mistakes)
        known = provenance(job.case.scenario, job.attack, job.case.abi, where.machine)
        evidence = _asked(job, where)
        answer = _observe(job, where)
        observations = {observation.kind: observation for observation in answer.observations}
        reachable = Isolation(answer.isolation).reachable
        evidence = replace(evidence, observations=observations, reachable=reachable)
    except Inexpressible as error:
        evidence = replace(evidence, inexpressible=error)
    except _THEIRS as error:
        evidence = replace(evidence, broken=str(error))
    except _OURS as error:
        evidence = replace(evidence, broken=f"{type(error).__name__}: {error}")
    return Result(
        case=job.case,
        verdict=judge(evidence),
        observations=answer.observations,
        isolation=answer.isolation,
        seconds=round(time.monotonic() - started, 3),
        provenance=known,
    )


def carry_out_each(jobs: Sequence[Job]) -> tuple[Result, ...]:
    """The results of jobs that may share their bare runs; what is broken in company is carried out
    once more, alone.
    """
    found = _in_company(jobs) if len(jobs) > 1 else {}
    results = []
    for number, job in enumerate(jobs):
        if number in found:
            place, seconds = found[number]
            result = carry_out(job, place)
            if result.verdict.kind is not VerdictKind.BROKEN:
                results.append(replace(result, seconds=round(result.seconds + seconds, 3)))
                continue
        results.append(carry_out(job))
    return tuple(results)


def _in_company(jobs: Sequence[Job]) -> Mapping[int, tuple[Place, float]]:
    """Those of the jobs, all of one scenario, that were carried out together, by number, each with
    a place that has its answer, and its share of the time. Nobody is in company where targets reach
    what comes behind them.
    """
    started = time.monotonic()
    (given,) = {id(job.place): job.place for job in jobs}.values()
    if given is None and available() is Isolation.PLAIN:
        return {}
    place = given or _local_place()
    asked: dict[int, Mapping[str, object]] = {}
    for number, job in enumerate(jobs):
        with contextlib.suppress(Inexpressible, *_THEIRS, *_OURS):  # said where it is alone
            asked[number] = prepare(job, place)
    if len(asked) < 2:
        return {}
    groups: list[list[int]] = []
    requests: list[Asked] = []
    while asked:
        request, numbers = merged(asked)
        groups.append(numbers)
        requests.append((request, sum(_patience_s(jobs[number], place) for number in numbers)))
        asked = {number: each for number, each in asked.items() if number not in numbers}
    try:
        answers = _each(place, requests)
    except PlaceError:
        return {}
    command, race = jobs[0].attack is None, jobs[0].race
    seconds = (time.monotonic() - started) / sum(map(len, groups))
    return {
        number: (Answered(place, each), seconds)
        for numbers, answer in zip(groups, answers, strict=True)
        for number, each in zip(
            numbers, parted(answer, len(numbers), command=command, race=race), strict=True
        )
    }


def _each(place: Place, requests: Sequence[Asked]) -> list[Answer]:
    """The answers to several requests, in one copy where the place has copies."""
    if isinstance(place, Sharing):
        return place.run_each(requests)
    return [place.run(*each) for each in requests]


def _asked(job: Job, place: Place) -> Evidence:
    """What the verdict on this case has to rest on, before anything has run."""
    case, attack = job.case, job.attack
    confining = backend(case.backend)
    sentinel = attack.sentinel.value if attack else "file"
    direct = attack.direct_calls(case.variant) if attack else frozenset[str]()
    calls = attack.attack_calls(case.variant) if attack else frozenset[str]()
    return Evidence(
        observations={},
        command=attack is None,
        race=job.race,
        leaky=case.leaky,
        attempts=job.attempts,
        reference=job.reference,
        log_required=case.backend in case.scenario.logged or confining.logs,
        direct=attributed(direct, sentinel, place.layout()),
        attack=attributed(calls, sentinel, place.layout()),
        recorded=attack is not None and attack.effect is Effect.LOG,
        counted=not case.leaky and confining.counts,
        refusals=confining.refusals,
    )


def _observe(job: Job, place: Place) -> Answer:
    """The case's runs; of a leaky race as many rounds as it takes, the attack alone in all but the
    first: what the others prove is known.
    """
    if isinstance(place, Answered):
        answer, place = place.answer, place.place
    else:
        answer = place.run(prepare(job, place), _patience_s(job, place))
    while job.case.leaky and job.race:
        further = next_round(answer.observations, job.most)
        if not further:
            break
        again = _further_round(replace(job, attempts=further), place)
        together = pooled(answer.observations, again.observations)
        if together is None:
            break
        answer = replace(answer, observations=together)
    return answer


def _further_round(job: Job, place: Place) -> Answer:
    request = prepare(job, place, kinds=(RunKind.ATTACK,))
    return place.run(request, _patience_s(job, place))


def _patience_s(job: Job, place: Place) -> float:
    return job.limits(place).timeout_s * (len(RunKind) + 1)


def prepare(job: Job, place: Place, kinds: Iterable[RunKind] = tuple(MODES)) -> dict[str, object]:
    """The request for the agent, with runs of these kinds, plans compiled and the program built.

    Raises Inexpressible, BuildError, PolicyError.
    """
    case = job.case
    layout = place.layout()
    values = layout.placeholders()
    confining = backend(case.backend)
    plan = plan_of(case, layout, place.abis)
    control = backend(CONTROL)
    control_plan = control.compile([_PERMISSIVE], place.abis)
    program = build(job.attack, case.abi) if job.attack else None
    command = [substitute(word, values) for word in case.scenario.command]
    direct = [substitute(word, values) for word in case.scenario.direct]
    observed = job.attack is not None or bool(direct)
    left_out = set() if job.attack else {RunKind.ATTACK}
    left_out |= set() if observed else {RunKind.DIRECT_CONTROL, RunKind.DIRECT}
    return {
        "race": job.race,
        "layout": layout.to_json(),
        "limits": asdict(job.limits(place)),
        "program": str(program) if program else None,
        "gate": str(_gate(place)) if confining.held else None,
        "variant": case.variant,
        "rung": job.rung,
        "sentinel": job.attack.sentinel.value if job.attack else "file",
        "effect": (job.attack.effect.value if job.attack else "read") if observed else None,
        "needs": [
            *needs_of(case.scenario, job.attack, case.variant),
            *(needs_of_backend(confining) if is_external(case.backend) else ()),
        ],
        "holds": [CAPABILITIES[name] for name in job.attack.holds] if job.attack else [],
        "files": {
            name: substitute(content, values) for name, content in case.scenario.files.items()
        },
        "runs": [
            _run(kind, CONTROL, control_plan, job, command, direct)
            if kind in CONTROLS
            else _run(kind, case.backend, plan, job, command, direct)
            for kind in kinds
            if kind not in left_out
        ],
    }


def expresses(job: Job) -> bool:
    """Whether the backend can keep anything of the case's policy. Of those that nobody expects to
    keep every policy it is found out before anything runs; of the others the scenario says it.
    """
    case = job.case
    if not case.external:
        return True
    place = job.place or _local_place()
    try:
        plan_of(case, place.layout(), place.abis)
    except Inexpressible:
        return False
    except (BrokenBackend, PolicyError, ImportError):
        return True  # what is wrong with it, the case itself will say
    return True


def _gate(place: Place) -> Path:
    return build_source(GATE, place.abis[0].name, include=GATE.parent)


def needs_of(scenario: Scenario, attack: Attack | None, variant: str) -> list[str]:
    """The features of both, and what a place must have been booted with, sorted."""
    modules = scenario.needs.get("lsm", ())
    assert isinstance(modules, Sequence)
    words = str(scenario.needs.get("cmdline", "")).split()
    booted = {*(f"lsm:{module}" for module in modules), *(f"cmdline:{word}" for word in words)}
    return sorted({*scenario.features, *(attack.needed(variant) if attack else ()), *booted})


def needs_of_backend(confining: Backend) -> tuple[str, ...]:
    """What a kernel has to give somebody else's sandbox; our own mechanisms ask by themselves."""
    return (*confining.needs.features, *(f"lsm:{name}" for name in confining.needs.lsm))


_PERMISSIVE = Policy(binary=None, dialect=Dialect.STRICT, rules=(), default=Action.PERMIT)


def _run(
    kind: RunKind,
    confining: str,
    plan: Plan,
    job: Job,
    command: Sequence[str],
    direct: Sequence[str],
) -> dict[str, object]:
    return {
        "kind": kind.value,
        "backend": confining,
        "plan": plan.to_json(),
        "mode": MODES[kind],
        "attempts": job.attempts,
        # Only the judged attack makes all of its attempts: elsewhere one that wins is enough.
        "stop": kind is not RunKind.ATTACK,
        "enough": job.enough if kind is RunKind.ATTACK else 0,
        "command": list(direct if MODES[kind] == "direct" else command),
    }


@functools.cache
def _local_place() -> LocalPlace:
    return LocalPlace()


def begin_worker() -> None:
    """What each worker process does first: die with its parent, leave Ctrl-C to it."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Executors:
    """One executor at a time, which `start` makes when the first job is sent, and anew when a
    worker of it died. Workers start once for all that is sent: while one starts, a harness that is
    killed leaves a traceback of multiprocessing's behind.
    """

    def __init__(self, start: Callable[[], Executor]) -> None:
        self._start = start
        self._now: Executor | None = None

    def submit(self, jobs: Sequence[Job]) -> Future[tuple[Result, ...]]:
        """Send jobs to one worker. Raises BrokenExecutor where a worker died before."""
        if self._now is None:
            self._now = self._start()
        return self._now.submit(carry_out_each, jobs)

    def close(self, *, wait: bool = True) -> None:
        """Let go of the workers, who end what they do only with `wait`; a job that is sent later
        gets new ones.
        """
        if self._now is not None:
            self._now.shutdown(wait=wait, cancel_futures=not wait)
            self._now = None


def companies(jobs: Sequence[Job]) -> list[tuple[Job, ...]]:
    """The jobs, those together that may share their bare runs or a copy of a machine: where the
    first of them is. Every variant's are together, and at most so many variants.
    """
    found: dict[Hashable, list[Job]] = {}
    variants: dict[Hashable, dict[str, int]] = {}
    for number, job in enumerate(jobs):
        shared = _shared(job) or number
        known = variants.setdefault(shared, {})
        place = known.setdefault(job.case.variant, len(known))
        found.setdefault((shared, place // VARIANTS_TOGETHER), []).append(job)
    return [tuple(each) for each in found.values()]


def _shared(job: Job) -> Hashable:
    """What jobs of one company have in common; None for one that stays alone: of a machine that is
    thrown away, only backends that are judged in such machines may leave their traces in one copy.
    """
    case = job.case
    alone = case.leaky or not needs_machine(case.backend)
    if job.place is not None and alone:
        return None
    machine = job.place.machine if job.place else None
    # Here there is no copy to be shared; and attempts take longer than one does.
    way = case.variant if job.place is None or job.race else ""
    return (machine, case.scenario.id, way, case.abi, case.kernel, case.place)


def run_all(jobs: Sequence[Job], executors: Executors, at_once: int) -> Iterator[Result]:
    """Results as they come, at most `at_once` cases running (or companies), so that an interruption
    is quick.

    When a worker dies, the cases that were running are tried once more, each alone, in a new
    executor: so only the one that kills workers is broken.
    """
    waiting = iter(companies(jobs))
    running: dict[Future[tuple[Result, ...]], tuple[Job, ...]] = {}
    suspects: list[Job] = []
    while True:
        for company in itertools.islice(waiting, at_once - len(running)):
            try:
                running[executors.submit(company)] = company
            except BrokenExecutor:  # by a case that still counts as running
                suspects += company
        if not running and not suspects:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            company = running.pop(future)
            try:
                yield from future.result()
            except BrokenExecutor:
                suspects += company
        if suspects and not running:
            executors.close()
            for job in suspects:
                try:
                    yield from executors.submit((job,)).result()
                except BrokenExecutor as error:
                    yield broken_result(job, f"its worker process was lost twice: {error}")
                    executors.close()
            suspects.clear()


def broken_result(job: Job, reason: str) -> Result:
    """A result for a case that our own failure kept from running."""
    return Result(case=job.case, verdict=Verdict(kind=VerdictKind.BROKEN, reason=reason))

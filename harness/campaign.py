"""What is run, where, in which order and judged by what: for `run`, `defences` and pytest alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from harness.attack import Attack
from harness.backends import boot_of
from harness.calibration import Calibration, beside, needs_reference
from harness.cases import (
    EVERY_LEAKY,
    Selection,
    attempts_of,
    expand,
    fewest_attempts,
    most_attempts,
)
from harness.defences import cases as settings_cases
from harness.defences import reference
from harness.model import Case, Provenance, Reference, Result, Scenario
from harness.places.choice import Say, Target, boot_options, ready
from harness.places.local import Place, PlaceError, this_machine
from harness.provenance import provenance
from harness.results import LeakyRun, leaky_run, row_of
from harness.runner import Executors, Job, run_all
from harness.vm.capacity import processors
from harness.vm.machines import MACHINES


def jobs_of(
    scenarios: Iterable[Scenario],
    attacks: Mapping[str, Attack],
    chosen: Selection,
    *,
    attempts: int | None,
    quick: bool,
) -> list[Job]:
    """The selected cases with their numbers of attempts; without places yet."""
    jobs = []
    for case in expand(scenarios, attacks, chosen):
        attack = attacks[case.scenario.attack] if case.scenario.attack else None
        jobs.append(_job(case, attack, attempts=attempts, quick=quick))
    return jobs


def _job(case: Case, attack: Attack | None, *, attempts: int | None, quick: bool) -> Job:
    tries = attempts_of(case, attack, asked=attempts, quick=quick)
    most = most_attempts(case, attack, asked=attempts)
    fewest = fewest_attempts(case, attack, asked=attempts)
    return Job(case=case, attack=attack, attempts=tries, most=most, fewest=fewest)


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """The jobs of every setting of the defences, and the leaky cases that may have to be measured
    for them.
    """

    jobs: tuple[Job, ...]
    leaky: tuple[Job, ...]


def ablation_of(
    scenarios: Iterable[Scenario],
    attacks: Mapping[str, Attack],
    chosen: Selection,
    *,
    attempts: int | None,
) -> Ablation:
    """What `chosen` selects, on the first ABI of its place."""
    every = tuple(scenarios)
    one = replace(chosen, abis=chosen.here[:1])
    jobs = [
        _job(case, attacks[case.scenario.attack or ""], attempts=attempts, quick=True)
        for case in settings_cases(every, attacks, one)
    ]
    measuring = replace(one, backends=(EVERY_LEAKY,), keywords=())
    leaky = jobs_of(every, attacks, measuring, attempts=attempts, quick=True)
    return Ablation(jobs=tuple(jobs), leaky=tuple(leaky))


def belongs(job: Job) -> Provenance | None:
    """What a job's result will belong to; None where its program is gone."""
    machine = job.place.machine if job.place else this_machine()
    try:
        return provenance(job.case.scenario, job.attack, job.case.abi, machine)
    except OSError:
        return None


_Key = tuple[str, str, str]
"""A target's, with what its kernel is told, or with a scenario."""


def _scenario(job: Job) -> _Key:
    return (job.case.place, job.case.kernel, job.case.scenario.id)


def booted_with(job: Job, target: Target) -> str:
    """What the kernel of a job's machine is told beside what all are: by its scenario, and by its
    backend. This machine is not booted.
    """
    if target.arch is None:
        return ""
    own = MACHINES[target.arch].append
    return boot_options(job.case.scenario.needs, boot_of(job.case.backend), own)


class Places:
    """The places of a run, each made ready once, when its first job asks for it."""

    def __init__(self, targets: Iterable[Target], say: Say, preparing: Say) -> None:
        self._targets = {target.key: target for target in targets}
        self._made: dict[_Key, Place | PlaceError | None] = {}
        self._judged: dict[_Key, dict[_Key, None]] = {}
        self._say = say
        self._preparing = preparing

    def placed(self, jobs: Iterable[Job]) -> tuple[list[Job], list[Job]]:
        """The jobs in their places, those of one place together; and those whose place cannot be
        prepared, which was said once.
        """
        found: dict[_Key, list[Job]] = {}
        lost: list[Job] = []
        keys = [(job, self._key(job)) for job in jobs]
        self._make([key for key in dict.fromkeys(key for _, key in keys) if key not in self._made])
        for job, key in keys:
            self._judged.setdefault(_scenario(job), {})[key] = None
            place = self._made[key]
            if isinstance(place, PlaceError):
                lost.append(job)
            else:
                found.setdefault(key, []).append(replace(job, place=place))
        self._preparing("")
        return [job for together in found.values() for job in together], lost

    def beside(self, jobs: Iterable[Job]) -> list[Job]:
        """Those of `jobs` whose places are ready already, in them; and wherever else their scenario
        is judged, which a backend may want to be booted otherwise.
        """
        found = []
        for job in jobs:
            own = self._key(job)
            for key in dict.fromkeys((own, *self._judged.get(_scenario(job), ()))):
                place = self._made.get(key, PlaceError())
                if not isinstance(place, PlaceError):
                    found.append(replace(job, place=place))
        return found

    def _key(self, job: Job) -> _Key:
        target = self._targets[job.case.place, job.case.kernel]
        return (*target.key, booted_with(job, target))

    def _make(self, keys: Sequence[_Key]) -> None:
        """Prepare places side by side: an emulated machine boots on one processor. Nobody waits at
        the end of an interrupted run for threads that boot; their machines die with this process.
        """
        made: dict[_Key, Future[Place | PlaceError | None]] = {key: Future() for key in keys}
        room = threading.Semaphore(processors())

        def make(key: _Key) -> None:
            with room:
                try:
                    made[key].set_result(self._prepare(key))
                except BaseException as error:  # raised where its result is asked for
                    made[key].set_exception(error)

        for key in keys:
            threading.Thread(target=make, args=(key,), daemon=True).start()
        self._made |= {key: future.result() for key, future in made.items()}

    def _prepare(self, key: _Key) -> Place | PlaceError | None:
        name, kernel, append = key
        self._preparing(f"preparing {name} {kernel}")
        try:
            return ready(self._targets[name, kernel], append, self._say)
        except PlaceError as error:
            self._say(f"{name} with kernel {kernel} cannot be prepared: {error}")
            return error


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The worker processes of a run: `start` makes executors of them, `awaited` says of ABIs for
    which of them workers would wait now, until something is built.
    """

    start: Callable[[], Executor]
    workers: int
    awaited: Callable[[Iterable[str]], frozenset[str]] = lambda abis: frozenset()


def carry_out_all(
    jobs: Sequence[Job],
    pool: Pool,
    calibration: Calibration,
    take: Callable[[Result], None],
    own: Callable[[Job], Reference | None] = lambda job: None,
) -> None:
    """Every job in turn, each result given to `take` as it comes. A reference that `own` gives
    goes before the calibration's.

    Leaky enforcers come before those that are judged by them, races after all others: a race needs
    two processors of its own. In a guest it has two that are emulated, and is mostly what one
    process does: there as many run as workers are there. What a C library is built for meanwhile
    comes behind what can begin.
    """
    still = [job for job in jobs if not job.race]
    races = [job for job in jobs if job.race]
    late = pool.awaited(job.case.abi for job in still if job.attack and job.place is None)
    groups = (
        *_in_turn([job for job in still if job.case.abi not in late]),
        *_in_turn([job for job in still if job.case.abi in late]),
        *(part for group in _in_turn(races) for part in _apart(group)),
    )
    executors = Executors(pool.start)
    try:
        for group in filter(None, groups):
            alone = group[0].race and group[0].place is None
            at_once = max(1, pool.workers // 2) if alone else pool.workers
            for result in run_all(_fitted(group, calibration, own), executors, at_once):
                run = measured(result)
                if run is not None:
                    calibration.note(run)
                take(result)
    except BaseException:
        executors.close(wait=False)
        raise
    executors.close()


def _in_turn(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Those by which others are judged, and these."""
    first = [job for job in jobs if not needs_reference(job)]
    return first, [job for job in jobs if needs_reference(job)]


def _apart(races: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Those of this machine, and those of guests."""
    here = [job for job in races if job.place is None]
    return here, [job for job in races if job.place is not None]


def carry_out_settings(
    jobs: Sequence[Job],
    leaky: Sequence[Job],
    pool: Pool,
    take: Callable[[Result], None],
    *,
    measured_aside: Callable[[Result], None],
    expect: Callable[[int], None],
) -> None:
    """Attacks under every setting of the defences. Those without any come first; by them the others
    are judged, and where they hold (the defences are not what stops this attack) by those of
    `leaky` that the scenarios name, which go to `measured_aside`. `expect` is told how many come.
    """
    calibration = Calibration(belongs=belongs)
    bare: list[Result] = []

    def took(result: Result) -> None:
        bare.append(result)
        take(result)

    def lost(job: Job) -> Reference | None:
        known = reference(job.case, bare)
        return known if known is not None and known.wins else None

    carry_out_all([job for job in jobs if job.case.leaky], pool, calibration, took)
    judged = [job for job in jobs if not job.case.leaky]
    lacking = calibration.lacking([job for job in judged if not lost(job)], leaky)
    expect(len(jobs) + len(lacking))
    carry_out_all(lacking, pool, calibration, measured_aside)
    carry_out_all(judged, pool, calibration, take, lost)


def _fitted(
    group: Iterable[Job], calibration: Calibration, own: Callable[[Job], Reference | None]
) -> list[Job]:
    return [beside(job, known) if (known := own(job)) else calibration.fitted(job) for job in group]


def measured(result: Result) -> LeakyRun | None:
    """What a result of this run tells of a leaky backend."""
    return leaky_run(row_of(result), None)

"""How often each race is won from leaky enforcers: the measure that a held race is judged by.

Known from the leaky cases of the same run, else from an earlier run in the same place, else the
leaky cases are added to the run. The races of one attack, ABI, kernel and place are comparable;
those of one backend in one run are counted together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.backends import backend
from harness.model import Case, Reference, VerdictKind
from harness.odds import attempts_needed
from harness.results import LeakyRace
from harness.rounds import ENOUGH_WINS
from harness.runner import Job

THIS_RUN = "this run"
_Key = tuple[str, str, str, str, str]


class Calibration:
    """The races of leaky backends that are known, and what they are worth to others."""

    def __init__(self, recorded: Iterable[LeakyRace] = ()) -> None:
        self._found: dict[_Key, dict[str, Reference]] = {}
        for race in recorded:
            self.note(race)

    def note(self, race: LeakyRace) -> None:
        """Take a finished race in: added to those of its backend in the same run, in the place of
        an earlier run's.
        """
        key = (race.attack, race.variant, race.arch, race.kernel, race.place)
        of_it = self._found.setdefault(key, {})
        known = of_it.get(race.backend)
        together = known is not None and known.source == race.source
        of_it[race.backend] = Reference(
            backend=race.backend,
            attempts=race.attempts + (known.attempts if known and together else 0),
            wins=race.wins + (known.wins if known and together else 0),
            source=race.source,
        )

    def reference(self, case: Case) -> Reference | None:
        """The leaky enforcer to judge a race by: of the same mechanism, and the hardest to win."""
        known = list(self._found.get(_key(case), {}).values())
        same = backend(case.backend).mechanism
        return min(
            known,
            key=lambda each: (
                backend(each.backend).mechanism != same,
                each.wins / each.attempts,
                each.backend,
            ),
            default=None,
        )

    def lacking(self, jobs: Sequence[Job], leaky: Iterable[Job]) -> list[Job]:
        """Those of the jobs `leaky` without which races among `jobs` could not be judged.

        A race that won little and could have gone on is not known well enough.
        """
        there = {job.case.id for job in jobs}
        measuring = [job for job in (*leaky, *jobs) if job.case.leaky]
        wanted: dict[str, Job] = {}
        for race in (job.case for job in jobs if needs_reference(job)):
            comparable = [job for job in measuring if _key(job.case) == _key(race)]
            same = backend(race.backend).mechanism
            of_it = [job for job in comparable if backend(job.case.backend).mechanism == same]
            for job in of_it or comparable:
                if job.case.id not in there and not self._is_known(job):
                    wanted[job.case.id] = job
        return list(wanted.values())

    def _is_known(self, leaky: Job) -> bool:
        known = self._found.get(_key(leaky.case), {}).get(leaky.case.backend)
        return known is not None and (known.wins >= ENOUGH_WINS or known.attempts >= leaky.most)

    def fitted(self, job: Job) -> Job:
        """The race with its reference, and with as many attempts as that asks for."""
        return beside(job, self.reference(job.case)) if needs_reference(job) else job


def beside(job: Job, reference: Reference | None) -> Job:
    """The race judged by `reference`, with as many of its most attempts as that asks for."""
    needed = attempts_needed(reference.attempts, reference.wins) if reference else None
    attempts = max(job.attempts, min(needed or 0, job.most))
    return replace(job, reference=reference, attempts=attempts)


def needs_reference(job: Job) -> bool:
    """Whether the case is a race that could be held."""
    case = job.case
    is_judged = case.backend != "none" and case.expected is not VerdictKind.INEXPRESSIBLE
    return job.race and not case.leaky and is_judged


def _key(case: Case) -> _Key:
    return (case.scenario.attack or "", case.variant, case.abi, case.kernel, case.place)

"""How often each race is won from leaky enforcers: the measure that a held race is judged by.

Known from the leaky cases of the same run, else from an earlier run in the same place, else the
leaky cases are added to the run. The races of one attack, ABI, kernel and place are comparable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.backends import backend
from harness.model import Case, Reference, VerdictKind
from harness.odds import attempts_needed
from harness.results import LeakyRace
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
        """Take a finished race in; a later one of the same backend replaces it."""
        key = (race.attack, race.variant, race.arch, race.kernel, race.place)
        self._found.setdefault(key, {})[race.backend] = Reference(
            backend=race.backend, attempts=race.attempts, wins=race.wins, source=race.source
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
        """Those of the jobs `leaky` without which races among `jobs` could not be judged."""
        keys = {_key(job.case) for job in jobs if needs_reference(job)}
        keys -= {_key(job.case) for job in jobs if job.case.leaky}
        keys -= self._found.keys()
        return [job for job in leaky if job.case.leaky and _key(job.case) in keys]

    def fitted(self, job: Job, *, most: int) -> Job:
        """The race with its reference, and with as many of `most` attempts as that asks for."""
        if not needs_reference(job):
            return job
        reference = self.reference(job.case)
        needed = attempts_needed(reference.attempts, reference.wins) if reference else None
        attempts = max(job.attempts, min(needed or 0, most))
        return replace(job, reference=reference, attempts=attempts)


def needs_reference(job: Job) -> bool:
    """Whether the case is a race that could be held."""
    case = job.case
    is_judged = case.backend != "none" and case.expected is not VerdictKind.INEXPRESSIBLE
    return job.race and not case.leaky and is_judged


def _key(case: Case) -> _Key:
    return (case.scenario.attack or "", case.variant, case.abi, case.kernel, case.place)

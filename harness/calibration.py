"""What attacks win from leaky enforcers: the measure by which "held" is judged.

Known from the leaky cases of the same run, else from an earlier run of the same provenance that is
not too old, else the leaky cases are added to the run. A reference is of the same scenario,
variant, ABI, kernel and place; those of one backend in one run are counted together. What is no
race may be judged in a guest by what it won on this machine: see `natively`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.backends import mechanism_of
from harness.cases import LOCAL, local_abis
from harness.model import Provenance, Reference, VerdictKind
from harness.odds import attempts_enough, attempts_needed
from harness.places.local import kernel_release
from harness.results import LeakyRun
from harness.rounds import ENOUGH_WINS
from harness.runner import Job, expresses

OTHERWISE_BOOTED = ", in a machine booted with other modules"
OLDEST_S = 24 * 3600.0
"""Older references are measured anew: what else a machine does changes how often a race is won."""

_Key = tuple[str, str, str, str, str, Provenance | None]
_Stated = tuple[str, str, str, str]
Belongs = Callable[[Job], Provenance | None]


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Runs of one leaky backend in one campaign, counted together."""

    attempts: int
    wins: int
    campaign: int | None
    finished: float
    rung: int | None

    def reference(self, name: str, now: float, where: str = "") -> Reference:
        source = "this run"
        if self.campaign is not None:
            source = f"campaign {self.campaign}, {_age(now - self.finished)} ago"
        return Reference(
            backend=name,
            attempts=self.attempts,
            wins=self.wins,
            source=source + where,
            rung=self.rung,
        )


class Calibration:
    """The attacks on leaky backends that are known, and what they are worth to others.

    `belongs` gives a job's provenance; `now` is in seconds since the epoch.
    """

    def __init__(
        self,
        recorded: Iterable[LeakyRun] = (),
        *,
        belongs: Belongs,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._found: dict[_Key, dict[str, _Known]] = {}
        self._belongs = belongs
        self._now = now
        for run in recorded:
            if now() - run.finished < OLDEST_S:
                self.note(run)

    def note(self, run: LeakyRun) -> None:
        """Take a finished attack in: added to those of its backend in the same campaign, in the
        place of an earlier one's.
        """
        key = (run.scenario, run.variant, run.arch, run.kernel, run.place, run.provenance)
        of_it = self._found.setdefault(key, {})
        known = of_it.get(run.backend)
        together = known is not None and known.campaign == run.campaign
        of_it[run.backend] = _Known(
            attempts=run.attempts + (known.attempts if known and together else 0),
            wins=run.wins + (known.wins if known and together else 0),
            campaign=run.campaign,
            finished=run.finished,
            rung=known.rung if known and together and run.rung is None else run.rung,
        )

    def reference(self, job: Job) -> Reference | None:
        """The leaky enforcer to judge by: one that lost, of the same mechanism, the hardest to
        win from; where none lost, one that lost on this machine itself, or a race to one in another
        machine of this kernel.
        """
        return self._lost_here(job) or self._lost_beside(job) or self._among(job)

    def _lost_here(self, job: Job) -> Reference | None:
        """What lost on this machine to a job in a guest, of whose own place nothing better is
        known.
        """
        twin, own = natively(job), self._among(job)
        if twin is None or (own and own.wins):
            return None
        found = self._among(twin, f", on this machine's Linux {twin.case.kernel}")
        return found if found and found.wins else None

    def _lost_beside(self, job: Job) -> Reference | None:
        """What lost this race in a machine of the same kernel that is booted with other modules,
        in this run, where nothing better is known of the job's own: their hooks stand on both sides
        of the race, and cost little of what an emulated processor takes for a turn.
        """
        own = self._among(job)
        if not job.race or job.case.place == LOCAL or (own and own.wins):
            return None
        *of_case, provenance = self._key(job)
        for (*of_other, other), known in self._found.items():
            if of_other == of_case and _apart_from_machine(other) == _apart_from_machine(
                provenance
            ):
                lost = [name for name, each in known.items() if each.wins and not each.campaign]
                if lost:
                    name = min(lost, key=lambda each: known[each].wins / known[each].attempts)
                    return known[name].reference(name, self._now(), OTHERWISE_BOOTED)
        return None

    def _among(self, job: Job, where: str = "") -> Reference | None:
        known = self._found.get(self._key(job), {})
        same = mechanism_of(job.case.backend)
        names = sorted(
            known,
            key=lambda name: (
                not known[name].wins,
                mechanism_of(name) != same,
                known[name].wins / known[name].attempts,
                name,
            ),
        )
        return known[names[0]].reference(names[0], self._now(), where) if names else None

    def lacking_here(self, jobs: Sequence[Job], leaky: Iterable[Job]) -> list[Job]:
        """What `lacking` would have guests measure, on this machine itself as far as it can be: to
        be carried out before that is asked.
        """
        return [twin for twin in natives(self.lacking(jobs, leaky)) if not self._is_known(twin)]

    def lacking(self, jobs: Sequence[Job], leaky: Iterable[Job]) -> list[Job]:
        """Those of the jobs `leaky` without which cases among `jobs` could not be judged.

        A race that won little and could have gone on is not known well enough. What a backend
        cannot express needs none. Where none is of a backend's own mechanism, all are as foreign to
        it, and the first that the scenario names will do.
        """
        there = {job.case.id for job in jobs}
        measuring: dict[_Key, list[Job]] = {}
        for job in (*leaky, *jobs):
            if job.case.leaky:
                measuring.setdefault(self._key(job), []).append(job)
        # One id may be known in two machines, of which one is booted with other modules; a race is
        # measured in one of them.
        wanted: dict[tuple[_Key | None, str], Job] = {}
        known: dict[_Stated, bool] = {}
        for judged in filter(needs_reference, jobs):
            if self._lost_here(judged) or self._lost_beside(judged):
                continue
            case = judged.case
            stated = (case.scenario.id, case.backend, case.place, case.kernel)
            if stated not in known:
                known[stated] = expresses(judged)
            if not known[stated]:
                continue
            comparable = measuring.get(self._key(judged), [])
            same = mechanism_of(judged.case.backend)
            of_it = [job for job in comparable if mechanism_of(job.case.backend) == same]
            for job in of_it or comparable[:1]:
                if job.case.id not in there and not self._is_known(job):
                    in_guest = job.race and job.case.place != LOCAL
                    wanted.setdefault((None if in_guest else self._key(job), job.case.id), job)
        return list(wanted.values())

    def _is_known(self, leaky: Job) -> bool:
        known = self._found.get(self._key(leaky), {}).get(leaky.case.backend)
        if known is None:
            return False
        return not leaky.race or known.wins >= ENOUGH_WINS or known.attempts >= leaky.most

    def fitted(self, job: Job) -> Job:
        """The job with its reference, a race with as many attempts as that asks for."""
        return beside(job, self.reference(job)) if needs_reference(job) else job

    def _key(self, job: Job) -> _Key:
        case = job.case
        return (
            case.scenario.id,
            case.variant,
            case.abi,
            case.kernel,
            case.place,
            self._belongs(job),
        )


def natively(job: Job) -> Job | None:
    """The job of a guest on this machine itself, where its program runs here; None for a race.

    A reference says that this program, in this variant, gets past an enforcer that has a weakness.
    For an act that is no race it does or it does not, and guests are slow: under emulation a leaky
    ptrace takes ten times as long. What might differ in the guest is its kernel, and there the
    control has to show the program's effect before anything is judged. How often a race is won is
    the machine's own, so races keep their references in the place that they are judged in.
    """
    case = job.case
    if job.race or case.place == LOCAL or case.abi not in local_abis():
        return None
    return replace(job, place=None, case=replace(case, place=LOCAL, kernel=kernel_release()))


def natives(jobs: Iterable[Job]) -> list[Job]:
    """Of those that have one; each once, in however many guests they are."""
    twins = filter(None, map(natively, jobs))
    return list({twin.case.id: twin for twin in twins}.values())


def beside(job: Job, reference: Reference | None) -> Job:
    """The job judged by `reference`, a race with as many attempts as that asks for: of its most,
    where the leaky enforcer lost rarely, and of those that it has, where it lost often.
    """
    if not job.race or reference is None:
        return replace(job, reference=reference)
    lost = (reference.attempts, reference.wins)
    attempts = job.attempts
    if job.fewest:
        attempts = min(attempts, max(job.fewest, attempts_enough(*lost) or attempts))
    attempts = max(attempts, min(attempts_needed(*lost) or 0, job.most))
    return replace(job, reference=reference, attempts=attempts)


def needs_reference(job: Job) -> bool:
    """Whether the case is an attack that could be held."""
    case = job.case
    is_judged = case.backend != "none" and case.expected is not VerdictKind.INEXPRESSIBLE
    return job.attack is not None and not case.leaky and is_judged


def _apart_from_machine(provenance: Provenance | None) -> Provenance | None:
    return replace(provenance, machine="") if provenance else None


def _age(seconds: float) -> str:
    """In words, rounded down."""
    if seconds < 3600:
        return f"{max(seconds, 0) / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"

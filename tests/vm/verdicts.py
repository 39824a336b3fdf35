"""One verdict in one place, with the leaky enforcer by which "held" is judged."""

from __future__ import annotations

from harness.calibration import Calibration
from harness.campaign import belongs, jobs_of, measured
from harness.cli.load import laboratory, selection
from harness.model import Result
from harness.places.choice import Target
from harness.places.local import Place
from harness.runner import Job, carry_out


def verdict_of(
    place: Place, target: Target, backend: str, keyword: str, *, beside: str | None = None
) -> Result:
    """The result of the first case of `backend` whose name has `keyword`, carried out in `place`
    after the same case of the leaky backend `beside`.
    """
    calibration = Calibration(belongs=belongs)
    if beside is not None:
        run = measured(carry_out(_job(place, target, beside, keyword)))
        assert run is not None
        calibration.note(run)
    return carry_out(calibration.fitted(_job(place, target, backend, keyword)))


def _job(place: Place, target: Target, backend: str, keyword: str) -> Job:
    lab = laboratory()
    chosen = selection((backend,), (keyword,), target)
    job = jobs_of(lab.scenarios, lab.attacks, chosen, attempts=1, quick=False)[0]
    return Job(case=job.case, attack=job.attack, attempts=1, place=place)

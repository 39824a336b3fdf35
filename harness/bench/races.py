"""How soon races win: each against its leaky backends, many times, until its first win.

Only the judged attack is run, as a case would run it but for one thing: it ends with a win, or when
its time is up. What that says of a machine is how long a verdict on a race takes there.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from harness.attack import Attack, AttackKind
from harness.cases import EVERY_LEAKY, Selection, expand
from harness.model import Outcome, RunKind, Scenario
from harness.places.local import Place, PlaceError
from harness.runner import Job, prepare
from harness.wideners import Widener, widener_of

ENDLESS = 2**31 - 1  # attempts, as the program's int holds them
OFTEN = 0.95
"""In how many of the runs a race should win: 19 of 20."""


@dataclass(frozen=True, kw_only=True)
class FirstWins:
    """Seconds from a race's start to its first win, a run each; None: none in `within_s`."""

    race: str
    catalogue: tuple[str, ...]
    widener: Widener | None
    backend: str
    within_s: float
    seconds: tuple[float | None, ...]

    @property
    def won(self) -> tuple[float, ...]:
        """The runs that won, the fastest first."""
        return tuple(sorted(each for each in self.seconds if each is not None))

    @property
    def often(self) -> bool:
        """Whether it won in time in as many runs as it should."""
        return len(self.won) >= OFTEN * len(self.seconds)

    @property
    def median(self) -> float | None:
        """Of all runs: where half of them won nothing there is none."""
        times = [float("inf") if each is None else each for each in self.seconds]
        middle = statistics.median_high(times)
        return None if middle == float("inf") else middle


def race_jobs(
    scenarios: Iterable[Scenario],
    attacks: Mapping[str, Attack],
    selection: Selection,
    widener: Widener | None,
) -> list[Job]:
    """Each race in its first scenario with leaky backends, on one ABI, plainly or with a widener
    that it has.
    """
    first: dict[str, Scenario] = {}
    for scenario in scenarios:
        if scenario.attack and scenario.leaky:
            first.setdefault(scenario.attack, scenario)
    jobs = []
    for name, scenario in first.items():
        attack = attacks[name]
        if attack.kind is not AttackKind.RACE or (widener and widener not in attack.wideners):
            continue
        variant = f"{attack.variants[0]}+{widener}" if widener else attack.variants[0]
        named = replace(scenario, variants=(variant,))
        wanted = replace(selection, backends=(EVERY_LEAKY,))
        for case in expand([named], attacks, wanted):
            if case.variant == variant:
                jobs.append(Job(case=case, attack=attack, attempts=ENDLESS))
    return jobs


def first_wins(job: Job, place: Place, runs: int, within_s: float) -> FirstWins:
    """So many runs of one race. Raises BuildError, Inexpressible, PlaceError, PolicyError."""
    assert job.attack is not None
    request = _attack_alone(job, place, within_s)
    return FirstWins(
        race=job.attack.id,
        catalogue=job.case.catalogue,
        widener=widener_of(job.case.variant),
        backend=job.case.backend,
        within_s=within_s,
        seconds=tuple(_seconds(request, place, within_s) for _ in range(runs)),
    )


def _attack_alone(job: Job, place: Place, within_s: float) -> Mapping[str, object]:
    request = prepare(job, place)
    runs = cast("list[dict[str, object]]", request["runs"])
    attack = [{**run, "stop": True} for run in runs if run["kind"] == RunKind.ATTACK]
    limits = {**cast("dict[str, object]", request["limits"]), "timeout_s": within_s}
    return {**request, "runs": attack, "limits": limits}


def _seconds(request: Mapping[str, object], place: Place, within_s: float) -> float | None:
    """Raises PlaceError where there was no race: that is not one that won nothing."""
    seen = place.run(request, within_s).observations[0]
    if seen.outcome in (Outcome.BROKEN, Outcome.UNSUPPORTED, Outcome.UNAVAILABLE):
        raise PlaceError(f"{seen.outcome}: {seen.detail or seen.stderr.strip()}")
    return seen.seconds if seen.effect and seen.seconds <= within_s else None

"""How soon each planted mistake is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from harness.fuzz.campaign import Budget, run_campaign
from harness.fuzz.mutants import Mutant, planted
from harness.fuzz.registry import PROPERTIES

WANTED_SHARE = 0.9
"""Of the seeds, how many must find a mistake."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """A mutant and one campaign against it, up to where it was found or the budget was spent.

    `seconds` by the clock, `cpu_s` by the processor.
    """

    mutant: Mutant
    seed: int
    found: bool
    examples: int
    seconds: float
    cpu_s: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A mutant and its campaigns, one for each seed."""

    mutant: Mutant
    scores: tuple[Score, ...]

    @property
    def found(self) -> int:
        """How many seeds found it."""
        return sum(score.found for score in self.scores)

    @property
    def missed_by(self) -> tuple[int, ...]:
        """The seeds that did not."""
        return tuple(score.seed for score in self.scores if not score.found)

    @property
    def is_enough(self) -> bool:
        """Whether nine of ten seeds found it (all of fewer than ten)."""
        return self.found >= WANTED_SHARE * len(self.scores)

    @property
    def examples(self) -> tuple[float, int]:
        """Median and most; of a miss, those that were tried."""
        counts = [score.examples for score in self.scores]
        return median(counts), max(counts)

    @property
    def cpu_s(self) -> tuple[float, float]:
        """Median and most processor seconds."""
        times = [score.cpu_s for score in self.scores]
        return median(times), max(times)

    @property
    def seconds(self) -> tuple[float, float]:
        """Median and most seconds by the clock."""
        times = [score.seconds for score in self.scores]
        return median(times), max(times)


def hunt(mutant: Mutant, budget: Budget, seed: int, *, shrink: bool = False) -> Score:
    """Plant a mistake and look for it, without remembered or explicit examples."""
    with planted(mutant):
        campaign = run_campaign(PROPERTIES[mutant.property], budget, number=seed, shrink=shrink)
    found = campaign.findings[0] if campaign.findings else None
    return Score(
        mutant=mutant,
        seed=seed,
        found=found is not None,
        examples=found.examples if found else campaign.examples,
        seconds=found.seconds if found else campaign.seconds,
        cpu_s=campaign.cpu_s,
        text=found.text() if found else "",
    )


def benchmark(
    mutants: Sequence[Mutant], budget: Budget, seeds: Sequence[int]
) -> Iterator[Standing]:
    """Every mutant with every seed."""
    for mutant in mutants:
        yield Standing(mutant=mutant, scores=tuple(hunt(mutant, budget, seed) for seed in seeds))

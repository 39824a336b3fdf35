"""How soon each planted mistake is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.fuzz.campaign import Budget, run_campaign
from harness.fuzz.mutants import Mutant, planted
from harness.fuzz.registry import PROPERTIES


@dataclass(frozen=True, kw_only=True)
class Score:
    """A mutant and the campaign against it; `examples` and `seconds` until it was found."""

    mutant: Mutant
    seed: int
    found: bool
    examples: int
    seconds: float
    text: str


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
        text=found.text() if found else "",
    )


def benchmark(mutants: Sequence[Mutant], budget: Budget, seeds: Sequence[int]) -> Iterator[Score]:
    """Every mutant with every seed."""
    for mutant in mutants:
        for seed in seeds:
            yield hunt(mutant, budget, seed)

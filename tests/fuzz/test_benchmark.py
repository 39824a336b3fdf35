"""The benchmark: every planted mistake is found, with explicit examples off."""

from __future__ import annotations

import pytest

from harness.fuzz.benchmark import hunt
from harness.fuzz.campaign import Budget
from harness.fuzz.mutants import MUTANTS, Mutant, planted

SEED = 7
BUDGET = Budget(examples=400)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_planted_mistake_is_found(mutant: Mutant) -> None:
    """Within the budget, without a database and without examples."""
    assert hunt(mutant, BUDGET, SEED).found


def test_there_are_at_least_ten() -> None:
    """As many as the benchmark promises."""
    assert len(MUTANTS) >= 10


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_mistake_is_taken_out_again(mutant: Mutant) -> None:
    """What was planted is gone afterwards, and was there before."""
    owners = [(patch.owner, patch.attribute) for patch in mutant.patches]
    before = [getattr(*place) for place in owners]
    with planted(mutant):
        assert [getattr(*place) for place in owners] != before
    assert [getattr(*place) for place in owners] == before

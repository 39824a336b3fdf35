"""The benchmark: every planted mistake is found, with explicit examples off."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from harness.cli import Status
from harness.cli.fuzz import command
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


def test_named_mistakes_are_tried_alone() -> None:
    """With as many seeds as were asked for; a name that is none is said to be none."""
    words = ["--benchmark", "no-arch-check", "--seeds", "2", "--seed", "0", "--json"]
    ran = CliRunner().invoke(command, words)
    (record,) = (json.loads(line) for line in ran.stdout.splitlines())
    assert (record["mutant"], record["found"], record["seeds"]) == ("no-arch-check", 2, 2)
    assert "1 of 1 found" in ran.stderr
    assert ran.exit_code == Status.EXPECTED
    wrong = CliRunner().invoke(command, ["--benchmark", "no-arch-chek"])
    assert wrong.exit_code == Status.USAGE
    assert "no-arch-check" in wrong.output

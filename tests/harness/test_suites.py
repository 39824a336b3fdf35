"""Suites of `harness run`: what they select, and the score that they end with."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness import tree
from harness.cli import UserError
from harness.cli.asked import Asked
from harness.model import VerdictKind
from harness.results import Row
from harness.suites import mutation_score
from tests.harness.test_cli import harness
from tests.harness.test_results import LEAKY

FELL, HELD, ABSENT = VerdictKind.BYPASSED, VerdictKind.HELD, VerdictKind.INAPPLICABLE


def row(attack: str, backend: str, verdict: VerdictKind, *, leaky: bool = True) -> Row:
    return replace(LEAKY, attack=attack, backend=backend, verdict=verdict, leaky=leaky)


FULL = (row("a", "x", FELL), row("b", "y", VerdictKind.UNLOGGED))

SCORES: dict[str, tuple[tuple[Row, ...], tuple[int, tuple[str, ...], tuple[str, ...]]]] = {
    "all": (FULL, (4, (), ())),
    "an attack that wins once in several cases": ((*FULL, row("a", "x", HELD)), (4, (), ())),
    "an attack that never wins": ((FULL[0], row("b", "x", HELD)), (4, ("b",), ("y",))),
    "a backend that never falls": ((*FULL[:1], row("b", "x", FELL)), (4, (), ("y",))),
    "a case that broke": ((FULL[0], row("b", "y", VerdictKind.BROKEN)), (4, ("b",), ("y",))),
    "nothing ran": ((), (4, ("a", "b"), ("x", "y"))),
    "what the machine lacks": ((FULL[0], row("b", "y", ABSENT)), (2, (), ())),
    "what the architecture cannot say": (
        (FULL[0], row("b", "y", VerdictKind.INEXPRESSIBLE)),
        (2, (), ()),
    ),
    "what one machine of two lacks": ((*FULL, row("b", "y", ABSENT)), (4, (), ())),
    "a sound backend that fell": (
        (FULL[0], row("b", "y", FELL, leaky=False)),
        (4, ("b",), ("y",)),
    ),
}


@pytest.mark.parametrize(("rows", "found"), SCORES.values(), ids=list(SCORES))
def test_the_score_counts_both_sides(
    rows: tuple[Row, ...], found: tuple[int, tuple[str, ...], tuple[str, ...]]
) -> None:
    """Each attack defeats a leaky backend, each of those falls; what cannot be tried is aside."""
    score = mutation_score(rows, {"a", "b"}, {"x", "y"})
    assert (score.counted, score.idle_attacks, score.standing_backends) == found
    assert score.is_full is (not found[1] and not found[2])


def test_a_score_that_counts_nothing_is_not_full() -> None:
    """Where everything is inapplicable nothing was shown."""
    score = mutation_score([row("a", "x", ABSENT)], {"a"}, {"x"})
    assert (score.counted, score.unjudged) == (0, ("a", "x"))
    assert not score.is_full
    assert score.lines()[0].startswith("mutation score: 0 %")


def test_the_score_names_what_failed_and_is_not_rounded_up() -> None:
    """199 of 200 are 99 %, and the one is named."""
    attacks = {f"a{place}" for place in range(199)}
    rows = [row(attack, "x", FELL) for attack in attacks]
    score = mutation_score(rows, {*attacks, "b"}, {"x"})
    assert score.lines() == [
        "mutation score: 99 % (200 of 201 attacks and leaky backends)",
        "  b defeats no leaky backend",
    ]


def test_a_suite_selects_itself() -> None:
    """The leaky backends, one way of each; naming others beside it is a mistake of usage."""
    asked = replace(Asked.quickly(), suite="mutation", quick=False)
    chosen = asked.as_suite()
    assert (chosen.wanted, chosen.quick) == (("leaky",), True)
    with pytest.raises(UserError, match="leave --backend out"):
        replace(asked, wanted=("ptrace",)).as_suite()


def test_the_score_is_printed_and_is_the_exit_status(tmp_path: Path) -> None:
    """0 where all that was chosen falls; 1 where the tree has attacks that no scenario tries."""
    shutil.copytree(tree.OWN / "attacks", tmp_path / "attacks")
    (tmp_path / "scenarios" / "abi").mkdir(parents=True)
    shutil.copy(tree.OWN / "scenarios" / "abi" / "upper-bits.yaml", tmp_path / "scenarios" / "abi")
    part = harness(tmp_path, "run", "--suite", "mutation", "-k", "bits[", "--abi", "x86_64")
    assert part.returncode == 0, part.stderr
    assert "mutation score: 100 % (2 of 2 attacks and leaky backends)" in part.stderr
    whole = harness(tmp_path, "run", "--suite", "mutation")
    assert whole.returncode == 1, whole.stderr
    assert "race/path-race defeats no leaky backend" in whole.stderr
    assert "leaky-preload is defeated by no attack" in whole.stderr

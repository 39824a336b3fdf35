"""The numbers that the page of the attacks has, made of stored results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness import tree
from harness.attack import load_attacks
from harness.report.numbers import FILE, in_words, load_numbers, numbers
from tests.harness.test_results import CAMPAIGN, FALLEN, HELD, LEAKY


def test_they_are_added_up_and_read_again(tmp_path: Path) -> None:
    """By attack, backend and verdict; the latest result of a case counts alone."""
    old = replace(HELD, attempts=7, finished=1.0)
    other = replace(HELD, case_id="another", attempts=500, finished=86400.0 * 365)
    new = replace(HELD, finished=2.0)
    text = numbers([new, other, old, LEAKY], [CAMPAIGN])
    path = tmp_path / FILE
    path.write_text(text)
    leaky, held = load_numbers(path)[HELD.attack]
    assert (held.verdict, held.cases, held.wins, held.attempts) == ("held", 2, 0, 2500)
    assert held.day == "1971-01-01"
    assert (leaky.backend, leaky.wins, leaky.attempts) == (LEAKY.backend, 2, 50)
    assert in_words([held]).startswith("ptrace held x2 0/2500 (")
    assert in_words([leaky]).startswith(f"{LEAKY.backend} bypassed 2/50 (")


def test_a_weakness_that_is_known_is_named() -> None:
    """A backend that is bypassed as its scenario says is told from one that should have held."""
    known = replace(FALLEN, case_id="a", weakness="C9")
    own = replace(FALLEN, case_id="b", expected="bypassed")
    text = numbers([known, own, FALLEN], [CAMPAIGN])
    found = [line.split("\t")[2] for line in text.splitlines()[2:]]
    assert found == ["bypassed", "bypassed (C9)", "bypassed (expected)"]


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    """Another tree has attacks and no numbers."""
    assert load_numbers(tmp_path / FILE) == {}
    assert in_words(()) == ""


def test_the_numbers_here_are_of_attacks_here() -> None:
    """The file names attacks that there are, and nothing that a backend should have held."""
    found = load_numbers(tree.OWN / "attacks" / FILE)
    assert set(found) <= set(load_attacks(tree.OWN / "attacks"))
    wrong = {"bypassed", "unlogged", "overblocked", "not enforcing", "broken"}
    ours = {each for every in found.values() for each in every if "leaky" not in each.backend}
    assert not [each for each in ours if each.verdict in wrong]

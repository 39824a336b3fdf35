"""Which tree one works in."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import tree
from harness.backends import names
from harness.laboratory import attacks_of, scenarios_of
from harness.scenario import Known

MANIFEST = "attacks/race/mine.yaml"
SCENARIO = """\
title: mine
attack: race/path-race
policy: {default: permit, rules: []}
"""

TREES = {
    "both directories": (("attacks/", "scenarios/"), "", True),
    "above": (("attacks/", "scenarios/", "docs/deep/"), "docs/deep", True),
    "a manifest": ((MANIFEST,), "", True),
    "attacks and a scenario's file": (("attacks/", "checks/a.scenario.yaml"), "checks", True),
    "a scenario's file": (("a/b/c/d.scenario.yaml",), "", True),
    "too deep": (("a/b/c/d/e.scenario.yaml",), "", False),
    "hidden": ((".venv/e.scenario.yaml", "a/.b/e.scenario.yaml"), "", False),
    "attacks of others": (("attacks/race.py",), "", False),
    "scenarios alone": (("scenarios/race/mine.yaml",), "", False),
    "nothing": ((), "", False),
}


@pytest.mark.parametrize(("names", "start", "found"), TREES.values(), ids=list(TREES))
def test_the_tree_is_found(tmp_path: Path, names: tuple[str, ...], start: str, found: bool) -> None:
    """By its directories or by files that are called as scenarios are; else it is our own."""
    _fill(tmp_path, names)
    assert tree.root(tmp_path / start) == (tmp_path if found else tree.OWN)


def _fill(where: Path, files: tuple[str, ...]) -> None:
    for name in files:
        path = where / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text(SCENARIO)


def test_a_tree_has_its_own_attacks_beside_ours(tmp_path: Path) -> None:
    """One of the same id goes before ours; a mistake in a manifest is told."""
    _fill(tmp_path, ("attacks/race/mine.yaml",))
    own = (tree.OWN / "attacks" / "race" / "path-race.yaml").read_text()
    (tmp_path / "attacks/race/path-race.yaml").write_text(own.replace("title: ", "title: my "))
    (tmp_path / "attacks/race/path-race.c").write_text("")
    attacks, wrong = attacks_of(tmp_path)
    assert attacks["race/path-race"].title.startswith("my ")
    assert "race/symlink-swap" in attacks
    assert {Path(problem.source).name for problem in wrong} == {"mine.yaml"}


def test_scenarios_of_a_tree(tmp_path: Path) -> None:
    """Those of `scenarios/` by their class, others by where they lie, each once."""
    _fill(
        tmp_path,
        (
            "scenarios/race/one.yaml",
            "scenarios/race/two.scenario.yaml",
            "my_checks/a.scenario.yaml",
        ),
    )
    known = Known(attacks=attacks_of(tmp_path)[0], backends=names())
    found = [scenario.id for scenario in scenarios_of(tmp_path, known)]
    assert found == ["my-checks/a", "race/one", "race/two"]

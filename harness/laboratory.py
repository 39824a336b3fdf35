"""What can be run from a tree: its own attacks beside ours, and its scenarios.

Our own attacks are there in every tree; one of the same id in the tree goes before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from enforcer.policy.problem import Problem
from harness import tree
from harness.attack import Attack, sound_attacks
from harness.model import Scenario
from harness.scenario import Known, load_files, scenario_files


def attacks_of(root: Path) -> tuple[Mapping[str, Attack], Sequence[Problem]]:
    """The attacks that scenarios of the tree may name, by id, and the mistakes of manifests."""
    attacks: dict[str, Attack] = {}
    problems: list[Problem] = []
    for each in dict.fromkeys((tree.OWN, root)):
        found, wrong = sound_attacks(each / "attacks")
        attacks |= found
        problems += wrong
    return dict(sorted(attacks.items())), problems


def scenarios_of(root: Path, known: Known) -> tuple[Scenario, ...]:
    """Those of `scenarios/`, and files called `NAME.scenario.yaml` elsewhere in the tree, by id.

    Raises ScenarioError with every mistake.
    """
    directory = root / "scenarios"
    files = dict.fromkeys(tree.single_scenarios(root), root)
    return load_files(files | dict.fromkeys(scenario_files(directory), directory), known)

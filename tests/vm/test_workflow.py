"""The workflow that users copy: what it names is there."""

from __future__ import annotations

import os
from typing import cast

import pytest
import yaml

from harness.tree import root
from harness.vm.machines import MACHINES

TEXT = (root() / "ci" / "workflow.yml").read_text(encoding="utf-8")
JOBS = cast("dict[str, dict[str, object]]", yaml.safe_load(TEXT)["jobs"])
STEPS = [step for job in JOBS.values() for step in cast("list[dict[str, object]]", job["steps"])]


def test_its_commands_are_there() -> None:
    """Each of the project's programs that a step runs can be executed."""
    words = [word for step in STEPS for word in str(step.get("run", "")).split()]
    programs = {word for word in words if word.startswith("ci/")}
    assert programs == {"ci/quickstart", "ci/vm"}
    for program in programs:
        assert os.access(root() / program, os.X_OK)


def test_it_is_sharded_over_machines_of_the_table() -> None:
    """Every architecture of the matrix has a machine, and none is left out."""
    strategy = cast("dict[str, dict[str, list[str]]]", JOBS["machines"]["strategy"])
    assert set(strategy["matrix"]["arch"]) == set(MACHINES)


def test_it_keeps_what_takes_time_to_fetch() -> None:
    """The kept directories are the cache's, their key follows the files that fill them."""
    (cache,) = [step for step in STEPS if "actions/cache" in str(step.get("uses"))]
    kept = cast("dict[str, str]", cache["with"])
    assert {path.rpartition("/")[2] for path in kept["path"].split()} == {"kernels", "roots", "zig"}
    named = [part for part in kept["key"].split("'") if part.endswith(".py")]
    assert named
    assert all((root() / name).exists() for name in named)


@pytest.mark.parametrize("name", ["vm", "quickstart", "test", "setup"])
def test_scripts_stop_at_the_first_failure(name: str) -> None:
    """A step that fails in the middle fails the job."""
    assert "set -euo pipefail" in (root() / "ci" / name).read_text(encoding="utf-8")

"""The laboratory in pytest: `*.scenario.yaml`, and what lies in `scenarios/` beside `attacks/`.

It is loaded by every pytest of its environment, so whatever is heavy waits for the first scenario.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.tree import SCENARIO


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options beside pytest's own."""
    group = parser.getgroup("interposition laboratory")
    group.addoption("--lab-attempts", type=int, default=None, help="attempts per race")
    group.addoption(
        "--lab-full",
        action="store_true",
        help="every way of each attack, the manifests' full numbers of attempts",
    )
    group.addoption("--lab-arch", action="append", default=[], help="as --arch of `harness run`")
    group.addoption("--lab-kernel", action="append", default=[], help="as --kernel of it")
    group.addoption("--lab-vm", help="as --vm of it")


def pytest_configure(config: pytest.Config) -> None:
    """A wrong architecture, kernel or machine is one error, and nothing is collected."""
    if any(config.getoption(option) for option in ("--lab-arch", "--lab-kernel", "--lab-vm")):
        from harness.cli import UserError
        from harness.pytest_items import targets_of

        try:
            targets_of(config)
        except UserError as error:
            raise pytest.UsageError(error.message) from None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """One collector a scenario's file."""
    if file_path.suffix != ".yaml":
        return None
    home = _laboratory(file_path)
    if home is None and not file_path.name.endswith(SCENARIO):
        return None
    from harness.pytest_items import ScenarioFile

    # A wrong scenario or manifest is an error of its own, and the others run.
    parent.config.option.continue_on_collection_errors = True
    found: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path, directory=home)
    return found


def _laboratory(path: Path) -> Path | None:
    """The `scenarios/` beside `attacks/` in which a file of a class's directory lies."""
    for directory in path.parents:
        if directory.name == "scenarios" and (directory.parent / "attacks").is_dir():
            parts = path.relative_to(directory).parts
            return directory if len(parts) > 1 and parts[0] != "policies" else None
    return None

"""Imports point one way, and each kind of edge to the system stands in one place."""

from __future__ import annotations

import ast
import io
import sys
import tarfile
from pathlib import Path

import pytest

from enforcer.mechanisms.contract import MechanismName
from harness.places.vm import library
from tests.repo.sources import (
    PACKAGES,
    ROOT,
    circles,
    closure,
    dependencies,
    imported,
    module_name,
    modules,
    syntax,
)

CARRIED = (
    "harness.places.agent",
    *(f"enforcer.mechanisms.{name.value}" for name in MechanismName),
    *(f"harness.backends.leaky.{path.stem}" for path in modules("harness/backends/leaky")),
)
"""What is imported by name in guests; everything else there is imported by these."""


@pytest.mark.parametrize("path", modules("enforcer"), ids=str)
def test_the_enforcer_knows_nothing_of_the_laboratory(path: Path) -> None:
    """No module of `enforcer` imports `harness`."""
    assert "harness" not in imported(path)


@pytest.mark.parametrize("package", PACKAGES)
def test_ctypes_stands_in_the_kernel_package_only(package: str) -> None:
    """ctypes is imported below enforcer/kernel and nowhere else."""
    users = [str(path) for path in modules(package) if "ctypes" in imported(path)]
    assert [user for user in users if not user.startswith("enforcer/kernel/")] == []


def test_processes_are_started_in_one_module() -> None:
    """`subprocess` is imported by harness/process.py, and where systemd is asked for its sets."""
    users = [path for package in PACKAGES for path in modules(package)]
    found = [str(path) for path in users if "subprocess" in imported(path)]
    assert sorted(found) == ["enforcer/filters/call_sets.py", "harness/process.py"]


def test_guests_need_the_standard_library_and_python_ptrace_only() -> None:
    """What is imported in a guest imports nothing that a guest does not have."""
    allowed = sys.stdlib_module_names | {"enforcer", "harness", "ptrace"}
    there = closure(set(CARRIED) & dependencies().keys())
    strangers = {
        str(path): sorted(imported(path) - allowed)
        for package in PACKAGES
        for path in modules(package)
        if module_name(path) in there and imported(path) - allowed
    }
    assert strangers == {}


def test_guests_are_given_all_that_is_imported_there() -> None:
    """The tar of the library has every module that the agent and the mechanisms come to import."""
    with tarfile.open(fileobj=io.BytesIO(library())) as content:
        carried = {module_name(Path(name)) for name in content.getnames() if name.endswith(".py")}
    wanted = closure(set(CARRIED) & dependencies().keys())
    assert "enforcer.policy.decider" in wanted
    assert sorted(wanted - carried) == []


def test_nothing_imports_in_a_circle() -> None:
    """No two modules need each other, not even for types."""
    assert circles(dependencies()) == []


def test_a_circle_is_found() -> None:
    """Of whatever length, and through other modules."""
    graph = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("ad"), "d": frozenset()}
    assert circles({name: frozenset(others) for name, others in graph.items()}) == [["a", "b", "c"]]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_broad_except_swallows_an_error(package: str) -> None:
    """A handler of Exception or of everything re-raises, or ends the process that it is in."""
    found = []
    for path in modules(package):
        for node in ast.walk(syntax(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            )
            if broad and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
                found.append(f"{path}:{node.lineno}")
    assert [place for place in found if not place.startswith(LAST_RESORT)] == []


# Forked children and threads whose failure travels to their parent, which raises it.
LAST_RESORT = (
    "harness/campaign.py",
    "harness/process.py",
    "harness/places/agent.py",
    "harness/places/starting.py",
    "enforcer/pin/domain.py",
    "enforcer/pin/identity.py",
    "enforcer/supervision/launch.py",
    "enforcer/supervision/named_bind.py",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_are_rooms_not_halls(package: str) -> None:
    """No module has more than 500 lines."""
    long = {
        str(path): count
        for path in modules(package)
        if (count := len((ROOT / path).read_text(encoding="utf-8").splitlines())) > 500
    }
    assert long == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is(package: str) -> None:
    """Every module has a docstring."""
    assert [str(path) for path in modules(package) if not ast.get_docstring(syntax(path))] == []

"""Imports point one way, and each kind of edge to the system stands in one place."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.repo.sources import PACKAGES, ROOT, imported, modules, syntax

# What runs in guests: standard library, python-ptrace and our own packages only.
IN_GUESTS = (
    "enforcer/kernel/",
    "enforcer/arch/",
    "enforcer/pin/",
    "enforcer/supervision/",
    "enforcer/events.py",
    "enforcer/condition.py",
    "enforcer/call.py",
    "enforcer/mechanisms/ptrace/",
    "enforcer/mechanisms/notify/",
    "enforcer/mechanisms/seccomp/",
    "enforcer/mechanisms/landlock/",
    "enforcer/mechanisms/none.py",
    "harness/places/agent.py",
    "harness/places/features.py",
    "harness/places/isolation.py",
    "harness/places/sentinels.py",
    "harness/places/outcome.py",
    "harness/places/watch.py",
    "harness/places/layout.py",
    "harness/places/clearing.py",
    "harness/places/ending.py",
    "harness/places/usage.py",
    "harness/places/wire.py",
    "harness/backends/",
    "harness/model.py",
    "harness/process.py",
)


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
    """`subprocess` is imported by harness/process.py only."""
    users = [path for package in PACKAGES for path in modules(package)]
    found = [str(path) for path in users if "subprocess" in imported(path)]
    assert found == ["harness/process.py"]


def test_guests_need_the_standard_library_and_python_ptrace_only() -> None:
    """What is carried into a guest imports nothing that a guest does not have."""
    allowed = sys.stdlib_module_names | {"enforcer", "harness", "ptrace"}
    paths = [path for package in PACKAGES for path in modules(package)]
    strangers = {
        str(path): sorted(imported(path) - allowed)
        for path in paths
        if str(path).startswith(IN_GUESTS) and imported(path) - allowed
    }
    assert strangers == {}


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
    "harness/process.py",
    "harness/places/agent.py",
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

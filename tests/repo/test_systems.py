"""docs/systems.md is made of what is known of each system and of what scenarios expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer.mechanisms.contract import MechanismName
from harness.backends import names
from harness.cli.load import laboratory, our_backends
from harness.model import VerdictKind
from harness.report.systems import systems, systems_page, verdicts
from tests.repo.sources import ROOT

SYSTEMS = systems()


def test_the_page_is_current() -> None:
    """It is made by a command."""
    lab = laboratory(ROOT)
    made = systems_page(SYSTEMS, lab.scenarios, lab.attacks, our_backends())
    mend = "make it anew: harness list systems --markdown > docs/systems.md"
    assert (ROOT / "docs" / "systems.md").read_text(encoding="utf-8") == made, mend


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda each: each.name)
def test_a_system_is_here_or_it_is_said_why_not(system) -> None:  # type: ignore[no-untyped-def]
    """Each has a backend that exists, or the reason that there is none; never both."""
    assert bool(system.backend) is not bool(system.missing)
    assert not system.backend or system.backend in names()


def test_every_mechanism_has_its_row() -> None:
    """What is ours is among the systems, the control apart."""
    told = {each.backend for each in SYSTEMS}
    assert {name.value for name in MechanismName} - {MechanismName.NONE.value} <= told


@pytest.mark.parametrize(
    "backend",
    [
        "systemd",
        "leaky-ptrace-clone-untraced",
        "removed",
        "syscalls-cgroup",
        "capabilities",
        "strict",
        "broker",
        "preload",
        "apparmor",
        "tomoyo",
        "selinux",
        "bpf-lsm",
    ],
)
def test_what_goes_by_and_what_is_held_are_both_shown(backend: str) -> None:
    """A system that can be told something has a class of each."""
    lab = laboratory(ROOT)
    counted = verdicts(backend, lab.scenarios, lab.attacks, our_backends())
    assert counted[VerdictKind.HELD]
    assert counted[VerdictKind.BYPASSED]


def test_what_only_tells_has_told_and_not_told() -> None:
    """audit denies nothing: what goes by it is what its log does not name."""
    lab = laboratory(ROOT)
    counted = verdicts("audit", lab.scenarios, lab.attacks, our_backends())
    assert counted[VerdictKind.HELD]
    assert counted[VerdictKind.UNLOGGED]
    assert VerdictKind.BYPASSED not in counted


def test_a_mistake_in_the_file_is_an_error(tmp_path: Path) -> None:
    """A key that no system has is not left out silently."""
    path = tmp_path / "systems.yaml"
    path.write_text("- {system: X, when: now, tells: a, said: b, found: c, costs: d}\n")
    with pytest.raises(ValueError, match="X: unknown costs"):
        systems(path)

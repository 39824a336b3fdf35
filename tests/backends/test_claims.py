"""Sandboxes whose files tell them what to enforce, and one of ours that takes something away:
without that part nothing is claimed.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest

from enforcer.events import EventLog
from enforcer.kernel import prctl
from enforcer.mechanisms.capabilities import MECHANISM, Capabilities
from enforcer.mechanisms.contract import Plan
from enforcer.syscalls.privileges import CAPABILITIES
from harness.backends import backend
from harness.backends.external import External
from harness.evidence import witnessed
from harness.model import RunKind
from harness.places import isolation as walls
from harness.places.isolation import Isolation
from tests.backends.laboratory import Case, observe, policy_of


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sandbox, an attack on it, and the part of its files without which it enforces nothing."""

    name: str
    case: Case
    part: str
    instead: str
    program: str
    walls: tuple[Isolation, ...]

    def lacking(self) -> str:
        """What this machine lacks for it."""
        if shutil.which(self.program) is None:
            return f"{self.program} is not installed"
        return (
            "" if walls.available() in self.walls else f"no run here has {' or '.join(self.walls)}"
        )


CLAIMS = (
    Claim(
        name="preload",
        case=Case(
            attack="machinery/preload-escape", policy=policy_of("path-rules"), variant="link"
        ),
        part="export LD_PRELOAD",
        instead="unset LD_PRELOAD",
        program="cc",
        walls=(Isolation.NAMESPACES, Isolation.USER),
    ),
    Claim(
        name="systemd",
        case=Case(attack="subset/equal-call", policy=policy_of("no-renaming"), variant="child"),
        part="${calls}",
        instead="",
        program="/lib/systemd/systemd",
        walls=(Isolation.NAMESPACES,),
    ),
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_without_what_it_is_told_nothing_is_claimed(
    claim: Claim, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The direct attempt is refused and witnessed; where the sandbox is told nothing, neither."""
    if lacking := claim.lacking():
        pytest.skip(lacking)
    whole = backend(claim.name)
    assert isinstance(whole, External)
    texts = whole.definition.files
    assert any(claim.part in text for text in texts.values())
    files = {
        name: text if told else text.replace(claim.part, claim.instead)
        for name, text in texts.items()
    }
    confining = External(replace(whole.definition, files=files))
    seen = observe(claim.case, confining, [RunKind.DIRECT], tmp_path, monkeypatch)[RunKind.DIRECT]
    assert seen.finished, seen
    assert witnessed(seen.events) is told
    assert seen.effect is not told


def _leaves_everything(plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
    """What its launcher would do if it took nothing away, and said that it had."""
    Capabilities().launch(replace(plan, data={**plan.data, "drops": []}), command, log)


CHROOT = "default: permit\nrules:\n  - deny[eperm]: chroot\n"


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "left"])
def test_without_what_it_takes_away_nothing_is_claimed(
    taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The direct attempt, by a program that holds the capability, goes through where it is left."""
    in_reach = prctl.has_in_bounds(CAPABILITIES["sys_chroot"])
    if walls.available() is not Isolation.NAMESPACES or not in_reach:
        pytest.skip("no root, or no CAP_SYS_CHROOT to be had")
    if not taken:
        monkeypatch.setattr(MECHANISM, "launch", _leaves_everything)
    case = Case(attack="subset/changed-root", policy=CHROOT, variant="child")
    confining = backend("capabilities")
    direct = observe(case, confining, [RunKind.DIRECT], tmp_path, monkeypatch)[RunKind.DIRECT]
    assert direct.finished, direct
    assert witnessed(direct.events) is taken
    assert direct.effect is not taken

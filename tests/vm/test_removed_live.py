"""Calls removed from a running arm kernel: held, bypassed as published, and neither where the host
does nothing.
"""

from __future__ import annotations

import pytest

from harness.model import Result, VerdictKind
from harness.places.choice import Wish, targets
from harness.places.vm import VmPlace, vm_place
from harness.vm.removing import Remover
from tests.vm.verdicts import verdict_of

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def place() -> VmPlace:
    """An arm machine, fetched, booted and saved as far as needed."""
    return vm_place("arm", say=print)


def _verdict(place: VmPlace, keyword: str, beside: str | None = None) -> Result:
    (target,) = targets(Wish(arches=("arm",)))
    return verdict_of(place, target, "removed", keyword, beside=beside)


def test_a_removed_call_is_gone(place: VmPlace) -> None:
    """For the child of a target too."""
    result = _verdict(place, "renaming_child[", "leaky-ptrace-no-children")
    assert result.verdict.kind is VerdictKind.HELD, result.verdict.reason


def test_a_ring_renames_all_the_same(place: VmPlace) -> None:
    """What does the same work by another name is not gone with it."""
    result = _verdict(place, "renaming_ring[")
    assert result.case.weakness == "C5"
    assert result.verdict.kind is VerdictKind.BYPASSED, result.verdict.reason


def test_a_call_that_was_not_overwritten_is_there(
    place: VmPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host says that it did, and the verdict is another one."""

    def pretends(self: Remover, calls: list[str]) -> dict[str, str]:
        return dict.fromkeys(calls, "written")

    monkeypatch.setattr(Remover, "remove", pretends)
    result = _verdict(place, "renaming_child[")
    assert result.verdict.kind is VerdictKind.NOT_ENFORCING, result.verdict.reason

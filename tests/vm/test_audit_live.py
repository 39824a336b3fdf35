"""audit in a real guest: what is done is told by its object, and nothing is where no rule asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from enforcer.mechanisms.audit import MECHANISM
from enforcer.mechanisms.contract import Options, Plan
from harness.model import Result, VerdictKind
from harness.places.choice import Wish, targets
from harness.places.vm import VmPlace, vm_place
from tests.vm.verdicts import verdict_of

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def place() -> VmPlace:
    """An x86-64 machine, fetched, booted and saved as far as needed."""
    return vm_place("x86_64", say=print)


def _result(place: VmPlace, keyword: str, beside: str | None = None) -> Result:
    (target,) = targets(Wish(arches=("x86_64",), driver=None, kernels=("6.1",)))
    return verdict_of(place, target, "audit", keyword, beside=beside)


def test_a_link_is_told_by_what_it_leads_to(place: VmPlace) -> None:
    """The record's name is the link's; its inode is not."""
    result = _result(place, "log_link[", "leaky-notify-textual")
    assert result.verdict.kind is VerdictKind.HELD, result.verdict.reason


def test_without_a_rule_nothing_is_told(place: VmPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same case in a machine that is asked to log no call."""
    compiled = MECHANISM.compile

    def nothing(policies: Sequence[object], abis: Sequence[object], options: Options) -> Plan:
        plan = compiled(policies, abis, options)  # type: ignore[arg-type]
        return Plan(mechanism=plan.mechanism, machine=plan.machine, data={**plan.data, **NONE})

    monkeypatch.setattr(MECHANISM, "compile", nothing)
    result = _result(place, "log_link[")
    assert result.verdict.kind is VerdictKind.NOT_ENFORCING, result.verdict.reason


NONE: Mapping[str, dict[str, list[int]]] = {"numbers": {}}

"""What the tracer says it cannot hold."""

from __future__ import annotations

import pytest

from enforcer.arch import ABIS
from enforcer.mechanisms.contract import Extent
from enforcer.mechanisms.ptrace.cover import cover_by_tracer
from enforcer.policy.parser import parse_yaml

POLICY = """\
default: permit
rules:
  - deny[eacces]: openat
    when: filename sub "secret"
  - deny: getppid
"""


@pytest.mark.parametrize(
    ("abi", "first"), [("s390x", Extent.NONE), ("arm", Extent.FULL), ("riscv64", Extent.FULL)]
)
def test_rules_on_memory_need_slots(abi: str, first: Extent) -> None:
    """s390x tasks map none: rules on names are said to be out of reach, no others."""
    policy = parse_yaml(POLICY, "policy.yaml")
    found = cover_by_tracer(policy, [ABIS[abi]])
    assert [cover.extent for cover in found] == [first, Extent.FULL, Extent.FULL]
    assert [cover.elsewhere for cover in found] == [first is Extent.NONE, False, False]

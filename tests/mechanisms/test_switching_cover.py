"""Several policies under mechanisms that cannot follow what is executed."""

from __future__ import annotations

import importlib

import pytest

from enforcer.arch import native
from enforcer.mechanisms.contract import Extent, Inexpressible, Mechanism, Options
from enforcer.policy import parse_yaml, prepared
from enforcer.policy.ast import Policy


def policy(binary: str, errno: str) -> Policy:
    text = f"policy: {binary}\ndefault: permit\nrules:\n  - deny[{errno}]: mkdir\n"
    (found,) = prepared([parse_yaml(text, "x")])
    return found


A, B = policy("/bin/a", "eacces"), policy("/bin/b", "exdev")


def mechanism(name: str) -> Mechanism:
    found: Mechanism = importlib.import_module(f"enforcer.mechanisms.{name}").MECHANISM
    return found


@pytest.mark.parametrize(
    ("name", "extent", "errs"),
    [
        ("notify", Extent.NONE, "permits too much"),
        ("seccomp", Extent.PARTIAL, "denies too much"),
        ("landlock", Extent.PARTIAL, "denies too much"),
    ],
)
def test_policies_that_differ_are_refused(name: str, extent: Extent, errs: str) -> None:
    """What cannot change with the binary says so, and in which direction it errs."""
    with pytest.raises(Inexpressible) as raised:
        mechanism(name).compile([A, B], native().abis, Options())
    (found,) = (each for each in raised.value.covers if "polic" in each.reason)
    assert (found.extent, found.errs) == (extent, errs)


def test_notify_needs_no_switching_where_policies_are_inherited() -> None:
    """Under --inherit the command's policy is meant to hold for all that it executes."""
    plan = mechanism("notify").compile([A, B], native().abis, Options(inherit=True))
    assert plan.data["inexpressible"] == []


def test_ptrace_switches() -> None:
    """The reference takes policies that differ."""
    plan = mechanism("ptrace").compile([A, B], native().abis, Options())
    assert plan.data["inexpressible"] == []

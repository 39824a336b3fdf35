"""Policies for mechanisms that know of a call its number and no more: what they keep of them."""

from __future__ import annotations

import errno

import pytest

from enforcer.arch import arch
from enforcer.mechanisms.contract import Extent, Inexpressible, Options
from enforcer.mechanisms.removed import MECHANISM
from enforcer.mechanisms.whole_calls import whole_calls
from enforcer.policy.parser import parse_yaml

ABIS = arch("x86_64").abis
FULL, PARTIAL, NONE = Extent.FULL, Extent.PARTIAL, Extent.NONE

ROWS = [
    ("whole", "permit", "deny[enosys]: [rename, ptrace]", ("ptrace", "rename"), FULL),
    ("another errno", "permit", "deny[eperm]: ptrace", ("ptrace",), PARTIAL),
    ("killed", "permit", "kill: ptrace", ("ptrace",), PARTIAL),
    ("an argument", "permit", "deny[enosys]: ptrace\n    when: arg[0] == 16", (), NONE),
    ("a name", "permit", 'deny[enosys]: rename\n    when: filename eq "/x"', (), NONE),
    ("needed", "permit", "deny[enosys]: [openat, ptrace]", ("ptrace",), NONE),
    ("asked", "permit", "ask: ptrace", (), NONE),
    (
        "before it",
        "permit",
        "permit: ptrace\n  - deny[enosys]: [ptrace, rename]",
        ("rename",),
        FULL,
    ),
]


@pytest.mark.parametrize(
    ("default", "rule", "denied", "extent"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_what_is_kept(default: str, rule: str, denied: tuple[str, ...], extent: Extent) -> None:
    """Calls that are denied whatever their arguments go; of everything else it is said."""
    policy = parse_yaml(f"default: {default}\nrules:\n  - {rule}\n", "x")
    found = whole_calls(policy, ABIS, errno=errno.ENOSYS, needed={"openat"})
    assert found.denied == denied
    assert found.covers[0].extent is extent


def test_a_default_that_denies_is_not_kept() -> None:
    """Nobody would be left to start anything."""
    policy = parse_yaml("default: deny[enosys]\nrules:\n  - permit: fsread\n", "x")
    found = whole_calls(policy, ABIS, errno=errno.ENOSYS, needed=())
    assert (found.denied, found.covers[-1].extent) == ((), NONE)


def test_what_cannot_be_kept_is_refused() -> None:
    """With the reason; a policy that takes nothing away is none to be tested."""
    for rule in ("deny[enosys]: openat", "permit: ptrace"):
        policy = parse_yaml(f"default: permit\nrules:\n  - {rule}\n", "x")
        with pytest.raises(Inexpressible):
            MECHANISM.compile([policy], ABIS, Options())


def test_two_policies_are_not_kept() -> None:
    """A call is gone for all programs."""
    policies = [
        parse_yaml(f"default: permit\nrules:\n  - deny[enosys]: {call}\n", "x")
        for call in ("ptrace", "rename")
    ]
    with pytest.raises(Inexpressible, match="one policy"):
        MECHANISM.compile(policies, ABIS, Options())

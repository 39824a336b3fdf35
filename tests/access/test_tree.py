"""A tree of names says what the ordered rules say, and a module's cover says what it loses."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings

from enforcer.access.kinds import Access, reaches
from enforcer.access.mediation import Mediation, judge
from enforcer.access.notes import TOO_MUCH_DENIED, TOO_MUCH_PERMITTED, Notes
from enforcer.access.places import Place, Shape
from enforcer.access.tree import node_from_json, tree_of
from enforcer.arch import native
from enforcer.mechanisms.contract import Cover, Extent
from enforcer.policy.ast import Policy
from enforcer.policy.load import prepared
from enforcer.policy.parser import parse_yaml
from tests.access.test_reach import NAMES, policies

FILES = frozenset({"open", "openat", "openat2", "creat", "mkdirat", "mkdir", "unlink"})
PLAIN = Mediation(calls=FILES, refusals=frozenset({errno.EACCES}))
CHANGES = frozenset({Access.WRITE, Access.CREATE, Access.REMOVE, Access.CHANGE})


def policy(*rules: str, default: str = "permit") -> Policy:
    """A policy of rules in YAML, `action: calls, when: expression`."""
    listed = "".join("  - " + rule.replace(", when:", "\n    when:") + "\n" for rule in rules)
    listed = listed or "  []\n"
    return prepared((parse_yaml(f"default: {default}\nrules:\n{listed}", "test"),))[0]


def covers(said: Policy, says: Mediation = PLAIN) -> tuple[Cover, ...]:
    return judge(said, native().abis[:1], says)[1]


@settings(max_examples=200)
@given(policies)
def test_the_nearest_node_decides_as_the_rules_do(said: Policy) -> None:
    """For every name, spoken of or not; also after a way through JSON."""
    where = reaches(said, Notes())
    tree = node_from_json(tree_of(where).to_json())
    for name in (*NAMES, "/a/b/new", "/ab/new", "/new"):
        assert tree.permitted(name) == where.permitted(Place(name, Shape.EXACT)), name


DENIED = 'deny[eacces]: fswrite, when: filename match "/a/*"'


@pytest.mark.parametrize(
    ("says", "permitted"),
    [
        (PLAIN, frozenset(Access) - {Access.READ, Access.CREATE}),
        (
            Mediation(calls=FILES, refusals=frozenset({errno.EACCES}), together=CHANGES),
            frozenset(Access) - {Access.READ, *CHANGES},
        ),
        (
            Mediation(calls=FILES, refusals=frozenset({errno.EACCES}), reads_to_execute=True),
            frozenset(Access) - {Access.READ, Access.CREATE, Access.EXECUTE},
        ),
    ],
    ids=["each by itself", "changes together", "reading to execute"],
)
def test_no_module_permits_more_than_the_policy(
    says: Mediation, permitted: frozenset[Access]
) -> None:
    """What it cannot tell apart it denies, and the cover says that it does."""
    said = policy(
        'deny[eacces]: mkdir, when: filename match "/a/*"',
        'deny[eacces]: fsread, when: filename match "/a/*"',
    )
    tree, found = judge(said, native().abis[:1], says)
    assert tree.permitted("/a/x") - {Access.LOOK} == permitted - {Access.LOOK}
    assert tree.permitted("/b") == frozenset(Access)
    lost = [cover for cover in found if cover.errs == TOO_MUCH_DENIED]
    assert bool(lost) is (says is not PLAIN)


@pytest.mark.parametrize(
    ("said", "extents"),
    [
        (policy(DENIED), (Extent.PARTIAL, Extent.FULL)),
        (policy("deny[eacces]: mkdir"), (Extent.FULL, Extent.FULL)),
        (policy("deny[eperm]: mkdir"), (Extent.PARTIAL, Extent.FULL)),
        (policy("deny[eacces]: connect"), (Extent.NONE, Extent.FULL)),
        (policy("kill: mkdir"), (Extent.PARTIAL, Extent.FULL)),
        (policy(default="deny[eacces]"), (Extent.NONE,)),
    ],
    ids=["metadata", "full", "errno", "another call", "kill", "default"],
)
def test_what_is_lost_is_said(said: Policy, extents: tuple[Extent, ...]) -> None:
    """Rule by rule: calls that it has no say in, errnos, deaths, and the default."""
    found = covers(said)
    assert tuple(cover.extent for cover in found) == extents
    assert all(cover.errs for cover in found if cover.extent is not Extent.FULL)
    beyond = [cover for cover in found if cover.extent is Extent.NONE]
    assert all(cover.errs == TOO_MUCH_PERMITTED for cover in beyond)


def test_what_cannot_be_made_in_procfs_takes_nothing_away() -> None:
    """A rule on the names that are made there leaves what is permitted with the same letter."""
    says = Mediation(calls=FILES, refusals=frozenset({errno.EACCES}), together=CHANGES)
    said = policy('deny[eacces]: rename, when: not filename[1] match "/a/*"')
    tree, _ = judge(said, native().abis[:1], says)
    assert tree.permitted("/proc/self/comm") == frozenset(Access)

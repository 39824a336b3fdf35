"""The names whose objects are watched for other names."""

from __future__ import annotations

from enforcer.policy.denied_names import names_denied_by_equality
from enforcer.policy.parser import parse_yaml


def test_only_absolute_names_that_are_refused_by_equality() -> None:
    """Also within `and` and `or`; not under `not`, not of permits, not by pattern."""
    policy = parse_yaml(
        """
rules:
  - deny: fsread
    when: filename eq "/etc/shadow" or filename eq "/etc/gshadow"
  - kill: openat
    when: (filename eq "/a" or filename eq "relative") and arg[2] == 0
  - deny: stat
    when: not filename eq "/b"
  - deny: stat
    when: filename match "/c" or filename neq "/d"
  - permit: fsread
    when: filename eq "/e"
  - deny: mount
""",
        "x",
    )
    assert names_denied_by_equality(policy) == {"/etc/shadow", "/etc/gshadow", "/a"}

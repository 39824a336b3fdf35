"""What a decision hangs on, as far as the rules for one call say."""

from __future__ import annotations

import pytest

from enforcer.policy.looks import looks_only_at
from enforcer.policy.parser import parse_yaml

NAMES = frozenset({"filename"})
RULES = {
    "none": ("rules: []", True),
    "name": ('rules:\n  - deny: faccessat\n    when: filename eq "/a"\n', True),
    "alias": ('rules:\n  - deny: fsread\n    when: not filename match "/a/*"\n', True),
    "both": (
        'rules:\n  - deny: faccessat\n    when: filename eq "/a" and filename eq "/b"\n',
        True,
    ),
    "register": ('rules:\n  - deny: faccessat\n    when: filename eq "/a" or arg[2] == 4\n', False),
    "other call": ("rules:\n  - deny: ioctl\n    when: arg[1] == 4\n", True),
    "caller": (
        'rules:\n  - deny: faccessat\n    when: filename eq "/a"\n    if: user = 1\n',
        False,
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_a_decision_hangs_on_what_its_rules_look_at(case: str) -> None:
    """Registers, other texts and the caller count where a rule for that very call looks at them."""
    rules, expected = RULES[case]
    policy = parse_yaml(f"default: permit\n{rules}", "-")
    assert looks_only_at(policy, "faccessat", NAMES) is expected


OTHER_CALLS = {
    "mkdirat": ('rules:\n  - deny: mkdirat\n    when: mode eq "777"\n', False),
    "openat": ('rules:\n  - deny: fsread\n    when: filename eq "/a"\n', False),
}


@pytest.mark.parametrize("call", OTHER_CALLS)
def test_a_register_may_be_looked_at_unseen(call: str) -> None:
    """Through its text, or because an alias has only some of the calls."""
    rules, expected = OTHER_CALLS[call]
    policy = parse_yaml(f"default: permit\n{rules}", "-")
    assert looks_only_at(policy, call, NAMES) is expected

"""Policies travel in a plan unchanged."""

from __future__ import annotations

import json

import pytest

from enforcer.call import Action, Elevation, Transition
from enforcer.condition import Operator
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    NotExpression,
    OrExpression,
    Policy,
    Predicate,
    Principal,
    RegisterSymbol,
    Rule,
    TextOperator,
    TextSymbol,
    TrueSymbol,
)
from enforcer.policy.wire import WireError, policy_from_json, policy_to_json

NAME = TextSymbol(translator="filename", operator=TextOperator.MATCH, operand="/usr/\udcff*")
REGISTER = RegisterSymbol(argument=1, operator=Operator.LE, value=2**64 - 1, mask=7)
POLICY = Policy(
    binary="/bin/ls",
    dialect=Dialect.STRICT,
    rules=(
        Rule(
            calls=("openat", "fsread"),
            when=OrExpression(AndExpression(NAME, NotExpression(REGISTER)), TrueSymbol()),
            action=Action.DENY,
            errno=20,
            log=True,
        ),
        Rule(
            calls=("execve",),
            when=None,
            action=Action.PERMIT,
            now=True,
            elevation=Elevation(gid=3),
            transition=Transition.INHERIT,
            predicate=Predicate(principal=Principal.GROUP, operator=Operator.LT, value=100),
        ),
    ),
    default=Action.KILL,
    default_errno=2,
    detached=True,
)


def test_policy_survives_the_journey() -> None:
    """What `decide` sees of a policy is the same after JSON text and back."""
    assert policy_from_json(json.loads(json.dumps(policy_to_json(POLICY)))) == POLICY


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("default", "maybe"),
        ("rules", [{}]),
        ("rules", [1]),
        ("rules", "none"),
        ("default_errno", "1"),
        ("default_errno", True),
        ("binary", 1),
        ("dialect", None),
    ],
)
def test_damaged_policy_is_refused(key: str, value: object) -> None:
    """A field of the wrong kind is a WireError, not a policy that means something else."""
    with pytest.raises(WireError):
        policy_from_json({**policy_to_json(POLICY), key: value})


@pytest.mark.parametrize(
    "when",
    [[], ["maybe"], ["not"], ["and", ["true"]], ["text", "filename", 0, "eq"], {"true": 1}],
    ids=str,
)
def test_damaged_expression_is_refused(when: object) -> None:
    """Whatever is no expression is a WireError; nothing of it is passed over."""
    data = policy_to_json(POLICY)
    rules = data["rules"]
    assert isinstance(rules, list)
    with pytest.raises(WireError):
        policy_from_json({**data, "rules": [{**rules[0], "when": when}]})


def test_what_is_no_mapping_is_refused() -> None:
    """The whole policy, too."""
    with pytest.raises(WireError, match="a mapping was expected"):
        policy_from_json([])

"""Where Landlock's regions claim to express a policy, they agree with `decide` on every name."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enforcer.access.notes import Notes
from enforcer.access.places import Place, Shape
from enforcer.access.reach import reach_of_use
from enforcer.access.uses import Use
from enforcer.call import Action, Call, Value
from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    NotExpression,
    OrExpression,
    Policy,
    Rule,
    TextOperator,
    TextSymbol,
)
from enforcer.policy.decide import decide

NAMES = ("/", "/a", "/a/b", "/a/b/c", "/a/c", "/ab", "/b", "/b/a")
OPERANDS = (*NAMES, "/*", "/a/*", "/a/b/*", "/b/*", "/a/?")

USES = {
    Use("openat", "fsread"): (0, 0, 0, 0, 0, 0),
    Use("openat", "fswrite"): (0, 0, 0o101, 0, 0, 0),
    Use("mkdirat"): (0, 0, 0, 0, 0, 0),
    Use("execve", ""): (0, 0, 0, 0, 0, 0),
}

symbols: st.SearchStrategy[Expression] = st.builds(
    lambda operator, operand: TextSymbol(translator="filename", operator=operator, operand=operand),
    st.sampled_from([TextOperator.MATCH, TextOperator.EQ]),
    st.sampled_from(OPERANDS),
)
expressions: st.SearchStrategy[Expression] = st.recursive(
    symbols,
    lambda inner: st.one_of(
        st.builds(OrExpression, inner, inner),
        st.builds(AndExpression, inner, inner),
        st.builds(NotExpression, inner),
    ),
    max_leaves=3,
)
policies = st.builds(
    lambda rules, default: Policy(
        binary=None, dialect=Dialect.STRICT, rules=tuple(rules), default=default, default_errno=13
    ),
    st.lists(
        st.builds(
            lambda calls, when, action: Rule(calls=calls, when=when, action=action, errno=13),
            st.sampled_from([("fsread",), ("fswrite",), ("openat",), ("mkdirat", "execve")]),
            st.none() | expressions,
            st.sampled_from([Action.PERMIT, Action.DENY]),
        ),
        max_size=4,
    ),
    st.sampled_from([Action.PERMIT, Action.DENY]),
)

WITH_ROOT = Policy(
    binary=None,
    dialect=Dialect.STRICT,
    rules=(
        Rule(
            calls=("fsread", "mkdirat", "execve"),
            when=TextSymbol(translator="filename", operator=TextOperator.MATCH, operand="/"),
            action=Action.PERMIT,
        ),
    ),
    default=Action.DENY,
)
"""`match "/"` is the root directory alone: once it was taken for all that lies beneath."""


@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.call}-{use.alias or 'own'}")
@example(policy=WITH_ROOT)
@settings(max_examples=100, deadline=None)
@given(policy=policies)
def test_a_region_without_losses_is_what_decide_permits(use: Use, policy: Policy) -> None:
    """If nothing is noted as lost, a name is in the region exactly when the call is permitted."""
    notes = Notes()
    reach = reach_of_use(policy, use, notes)
    if notes.lost:
        return
    for name in NAMES:
        call = Call(
            name=use.call,
            abi="x86_64",
            args=USES[use],
            values=(
                Value(translator="filename", text=name),
                Value(translator="argv", text=""),
            ),
        )
        permitted = decide(policy, call).action is Action.PERMIT
        assert reach.permits(Place(name, Shape.EXACT)) is permitted, name

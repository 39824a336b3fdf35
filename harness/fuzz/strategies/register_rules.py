"""Policies about registers: values next to each other, many rules on one argument, lists.

A list has one answer for what it names. A compiler whose rules know no order (libseccomp) can
express it whole, so that what it makes of rules on one argument can be compared.
"""

from __future__ import annotations

from functools import reduce

from hypothesis import strategies as st

from enforcer.call import Action
from enforcer.condition import LOW_HALF, WORD, Operator
from enforcer.policy.ast import AndExpression, Dialect, Expression, Policy, RegisterSymbol, Rule
from harness.fuzz.strategies.policies import registers

EDGES = (
    *(1 << 31, (1 << 31) + 5, LOW_HALF, 1 << 32, (1 << 32) + 1, 5 << 32 | 5, 5 << 32 | 6),
    *(6 << 32 | 5, (1 << 31) - 1, 1 << 63, (1 << 63) - 1, 1 << 63 | 1 << 31, LOW_HALF << 32),
    *(LOW_HALF - 99, 0xC004_5401, 0x8004_5430),
)
"""Numbers about which compilers have erred: sign bits (also of ioctl commands), equal halves, and
carries between halves."""

LISTED = ("ioctl", "mmap", "socket", "fcntl", "clone", "read", "personality", "mprotect")


def near(value: int) -> st.SearchStrategy[int]:
    """The number itself, its neighbours, and others made of its halves."""
    return st.sampled_from(
        tuple(
            each & WORD
            for each in (value, value - 1, value + 1, value << 32 | value, value >> 32, value + 2)
        )
    )


@st.composite
def crowded(draw: st.DrawFn) -> Policy:
    """Many rules on one argument of one call, so that branches become long; shrinks by count."""
    count = draw(st.integers(1, 150))
    first = draw(registers)
    step = draw(st.sampled_from((1, 2, 1 << 16, (1 << 32) + 1)))
    operator = draw(st.sampled_from((Operator.EQ, Operator.EQ, Operator.GT, Operator.NE)))
    mask = draw(st.sampled_from((WORD, WORD, LOW_HALF)))
    argument = draw(st.integers(0, 2))
    rules = tuple(
        Rule(
            calls=("ioctl",),
            when=RegisterSymbol(
                argument=argument,
                operator=operator,
                value=(first + place * step) & WORD,
                mask=mask,
            ),
            action=Action.DENY,
            errno=1 + place % 90,
        )
        for place in range(count)
    )
    return Policy(binary=None, dialect=Dialect.STRICT, rules=rules, default=Action.PERMIT)


@st.composite
def boundary_rules(draw: st.DrawFn) -> Policy:
    """Rules on registers alone, with values that are equal to or next to each other's."""
    value = draw(st.one_of(st.sampled_from(EDGES), st.sampled_from(EDGES), registers))
    close = near(value)
    symbol = st.builds(
        RegisterSymbol,
        argument=st.integers(0, 2),
        operator=st.sampled_from(Operator),
        value=st.one_of(close, close, registers),
        mask=st.one_of(st.just(WORD), st.just(WORD), st.sampled_from((LOW_HALF, 3, 0x243))),
    )
    found = draw(
        st.lists(
            st.builds(
                Rule,
                calls=st.sampled_from((("ioctl",), ("mmap",), ("ioctl", "read"), ("socket",))),
                when=symbol,
                action=st.sampled_from((Action.PERMIT, Action.DENY, Action.DENY)),
                errno=st.sampled_from((1, 13, 38)),
            ).map(_without_errno),
            min_size=1,
            max_size=6,
        )
    )
    default = draw(st.sampled_from((Action.PERMIT, Action.KILL, Action.ASK)))
    return Policy(binary=None, dialect=Dialect.STRICT, rules=tuple(found), default=default)


def _without_errno(rule: Rule) -> Rule:
    if rule.action is Action.DENY:
        return rule
    return Rule(calls=rule.calls, when=rule.when, action=rule.action)


@st.composite
def lists_of_rules(draw: st.DrawFn) -> Policy:
    """One answer for what is listed and another for the rest; each argument once in a rule."""
    value = draw(st.one_of(st.sampled_from(EDGES), st.sampled_from(EDGES), registers))
    values = st.one_of(near(value), near(value), st.sampled_from(EDGES), registers)
    permits = draw(st.booleans())
    found = []
    for _ in range(draw(st.integers(1, 8))):
        arguments = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True))
        symbols = [draw(_symbols(argument, values)) for argument in arguments]
        found.append(
            Rule(
                calls=(draw(st.sampled_from((LISTED[0], *LISTED))),),
                when=reduce(AndExpression, symbols[1:], symbols[0]),
                action=Action.PERMIT if permits else Action.DENY,
                errno=0 if permits else 13,
            )
        )
    default = draw(st.sampled_from((Action.KILL, Action.ASK))) if permits else Action.PERMIT
    return Policy(binary=None, dialect=Dialect.STRICT, rules=tuple(found), default=default)


@st.composite
def _symbols(draw: st.DrawFn, argument: int, values: st.SearchStrategy[int]) -> Expression:
    """A comparison that needs no translation: of the whole register, or masked for equality."""
    operator = draw(st.sampled_from((Operator.EQ, *Operator)))
    value, mask = draw(values), WORD
    if operator is Operator.EQ:
        mask = draw(st.sampled_from((WORD, WORD, LOW_HALF, LOW_HALF << 32, 0x243, 1 << 63)))
        value &= mask
    return RegisterSymbol(argument=argument, operator=operator, value=value, mask=mask)

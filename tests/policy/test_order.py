"""Which rules concern a call, in which order, and what is left of them on one call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enforcer.call import Action
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
    TrueSymbol,
)
from enforcer.policy.order import NEVER, judged_rules, refuses_carrier, specialise
from enforcer.policy.parser import parse_systrace, parse_yaml
from enforcer.policy.residual import residual
from enforcer.syscalls import syscall


def order(policy: Policy, name: str) -> list[tuple[int, bool, tuple[str, ...]]]:
    """Each rule that concerns the call: its number, whether by an alias, and by which."""
    return [
        (each.index, each.by_alias, tuple(membership.alias for membership in each.memberships))
        for each in judged_rules(policy, syscall(name))
    ]


def systrace(*rules: str) -> Policy:
    text = "Policy: *, Emulation: native\n" + "".join(f"native-{rule}\n" for rule in rules)
    return parse_systrace(text, "x")[0]


def strict(*rules: str) -> Policy:
    return parse_yaml("default: deny\nrules:\n" + "".join(f"  - {each}\n" for each in rules), "x")


def test_strict_keeps_the_order_of_the_file() -> None:
    """Rules on the call and on its aliases, among each other."""
    policy = strict("permit: fsread", "deny: openat", "permit: stat", "kill: [fswrite, mkdir]")
    assert order(policy, "openat") == [
        (0, True, ("fsread",)),
        (1, False, ()),
        (3, True, ("fswrite",)),
    ]
    assert order(policy, "mkdir") == [(3, False, ())]
    assert order(policy, "read") == []


def test_systrace_judges_plain_rules_first_and_aliases_last() -> None:
    """Then in the order of the file."""
    policy = systrace(
        "fsread: deny",
        'open: filename eq "/a" then deny',
        'fsread: filename eq "/b" then permit',
        "open: permit",
        'open: filename eq "/c" then deny',
        "open: deny",
    )
    assert [index for index, _, _ in order(policy, "open")] == [3, 5, 1, 4, 0, 2]


def test_a_rule_on_both_names_the_call() -> None:
    """A rule that names the call itself concerns it without any alias."""
    policy = strict("permit: [fsread, openat, fswrite]")
    assert order(policy, "openat") == [(0, False, ())]
    assert order(policy, "open") == [(0, True, ("fsread", "fswrite"))]


LACKING = TextSymbol(translator="oflags", operator=TextOperator.EQ, operand="ro")
"""What opening calls have, and stat has not."""

HELD = TrueSymbol()


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (LACKING, NEVER),
        (NotExpression(LACKING), NotExpression(HELD)),
        (NotExpression(NotExpression(LACKING)), NotExpression(NotExpression(NEVER))),
        (AndExpression(HELD, LACKING), AndExpression(HELD, NEVER)),
        (OrExpression(LACKING, HELD), OrExpression(NEVER, HELD)),
        (
            NotExpression(AndExpression(LACKING, LACKING)),
            NotExpression(AndExpression(HELD, HELD)),
        ),
        (
            NotExpression(OrExpression(LACKING, LACKING)),
            NotExpression(OrExpression(HELD, HELD)),
        ),
    ],
)
def test_texts_that_the_call_lacks_in_strict(when: Expression, expected: Expression) -> None:
    """What makes the rule not hold, on whichever side of `not`."""
    assert specialise(when, "stat", None, Dialect.STRICT) == expected
    assert specialise(when, "open", None, Dialect.STRICT) == when


def test_names_that_the_call_lacks() -> None:
    """A second name counts as none where there is one."""
    second = replace(LACKING, translator="filename", index=1)
    assert specialise(second, "mkdir", None, Dialect.STRICT) == NEVER
    assert specialise(second, "rename", None, Dialect.STRICT) == second


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        ('stat: sockaddr eq "x" then permit', "stat", NEVER),
        ('stat: not sockaddr eq "x" then permit', "stat", NotExpression(NEVER)),
        ('fsread: oflags eq "ro" then permit', "open", NEVER),
        ('fsread: not oflags eq "ro" then permit', "open", NotExpression(NEVER)),
        ("stat: permit", "stat", TrueSymbol()),
    ],
)
def test_texts_that_the_call_lacks_in_systrace(rule: str, name: str, expected: object) -> None:
    """False, wherever they stand; aliases show nothing but file names."""
    (judged,) = judged_rules(systrace(rule), syscall(name))
    assert judged.when == expected


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ('fsread: filename eq "/a" then permit', "open"),
        ('open: oflags eq "ro" then permit', "open"),
        ('open: filename eq "/a" and oflags eq "ro" or not filename eq "/b" then permit', "open"),
    ],
)
def test_texts_that_the_call_has_stay(rule: str, name: str) -> None:
    """An alias shows file names, the call itself everything that it has."""
    policy = systrace(rule)
    (judged,) = judged_rules(policy, syscall(name))
    assert judged.when == policy.rules[0].when


def test_strict_aliases_show_every_text() -> None:
    """Unlike those of systrace."""
    policy = strict('permit: fsread\n    when: oflags eq "ro"')
    (judged,) = judged_rules(policy, syscall("open"))
    assert judged.when == policy.rules[0].when


@pytest.mark.parametrize(
    ("rules", "default", "refused"),
    [
        ((), Action.PERMIT, False),
        ((), Action.DENY, True),
        ((), Action.ASK, True),
        ((), Action.KILL, True),
        ((("read", Action.PERMIT),), Action.PERMIT, False),
        ((("read", Action.DENY),), Action.PERMIT, True),
        ((("read", Action.ASK),), Action.PERMIT, True),
        ((("read", Action.PERMIT), ("write", Action.KILL)), Action.PERMIT, True),
        ((("io_uring_enter", Action.DENY),), Action.DENY, False),
        ((("read", Action.DENY), ("io_uring_enter", Action.PERMIT)), Action.DENY, False),
        ((("io_uring_setup", Action.PERMIT),), Action.DENY, True),
    ],
)
def test_carriers(rules: tuple[tuple[str, Action], ...], default: Action, refused: bool) -> None:
    """Refused under whatever refuses something, unless a rule names this very call."""
    made = tuple(Rule(calls=(call,), when=None, action=action) for call, action in rules)
    policy = Policy(binary=None, dialect=Dialect.STRICT, rules=made, default=default)
    assert refuses_carrier(policy, syscall("io_uring_enter")) is refused
    assert not refuses_carrier(policy, syscall("read"))
    clause = residual(policy, "io_uring_enter")[0]
    assert (clause.decision is not None and clause.decision.errno == 38) is refused

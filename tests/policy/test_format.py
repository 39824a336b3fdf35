"""The canonical text, and what a form cannot say."""

from __future__ import annotations

import pytest

from enforcer.call import Action
from enforcer.condition import LOW_HALF, Operator
from enforcer.policy.ast import Dialect, Policy, RegisterSymbol, Rule, TrueSymbol
from enforcer.policy.check import check_policy
from enforcer.policy.format import (
    NotExpressible,
    format_expression,
    format_rule,
    format_systrace,
    format_yaml,
)
from enforcer.policy.parser import parse_systrace, parse_yaml
from enforcer.syscalls import names


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rules: []", "not in the systrace dialect"),
        ("dialect: systrace\ninclude: [x]\nrules: []", "includes no templates"),
        ("dialect: systrace\nrules: [{permit: [read, write]}]", "one call"),
        ("dialect: systrace\nrules: [{kill: read}]", "cannot kill"),
        ("dialect: systrace\nrules: [{permit-now: read, when: true}]", "no -now"),
    ],
)
def test_what_systraces_form_cannot_say_is_refused(text: str, reason: str) -> None:
    """Nothing is left out silently."""
    with pytest.raises(NotExpressible, match=reason):
        format_systrace(parse_yaml(text, "x"))


@pytest.mark.parametrize("path", ["/a\nnative-read: permit", "/a#b", "/a ", "/a, Emulation: b"])
def test_a_header_holds_nothing_but_its_fields(path: str) -> None:
    """A path that would be read as something else is not written; YAML can hold it."""
    policy = Policy(binary=path, dialect=Dialect.SYSTRACE, rules=())
    with pytest.raises(NotExpressible, match="cannot hold"):
        format_systrace(policy)
    assert parse_yaml(format_yaml(policy), "x") == policy


CANONICAL = """\
template: own
description: "what it is: for"
policy: /bin/x
dialect: systrace
emulation: linux
detached: true
include: [one, two]
default: deny[enoent]
rules:
  - deny-now[eacces]: read
  - permit[inherit]: execve
    when: "true"
    log: true
    as: 0:3
    if: user != 33
"""


def test_every_key_has_its_place() -> None:
    """The canonical text is what it is made of, down to quotes and order."""
    assert format_yaml(parse_yaml(CANONICAL, "x")) == CANONICAL


@pytest.mark.parametrize(
    "answer",
    [
        "deny[enoent] log",
        "permit as 0:3, if group != 33",
        "permit-now",
        'filename eq "/a" and (not filename sub "b") or true then permit[inherit] log as :0',
        '(filename eq "/a" or true) and true then ask, if user < 10',
        'not filename[1] eq "/a" or true then deny',
    ],
)
def test_rules_in_systraces_form(answer: str) -> None:
    """The canonical text of each rule is what was read."""
    text = f"Policy: *, Emulation: native\n\tnative-rename: {answer}\n"
    (policy,) = parse_systrace(text, "x")
    assert format_systrace(policy) == text


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        (RegisterSymbol(argument=1, operator=Operator.EQ, value=5), "arg[1] == 0x5"),
        (
            RegisterSymbol(argument=1, operator=Operator.GE, value=5, mask=LOW_HALF),
            "arg[1]:32 >= 0x5",
        ),
        (RegisterSymbol(argument=0, operator=Operator.NE, value=4, mask=6), "arg[0] & 0x6 != 0x4"),
        (
            RegisterSymbol(argument=0, operator=Operator.LT, value=1 << 32, mask=LOW_HALF),
            "arg[0] & 0xffffffff < 0x100000000",
        ),
    ],
)
def test_registers_that_nobody_spelled(symbol: RegisterSymbol, text: str) -> None:
    """They are printed so that they are read again as they are."""
    assert format_expression(symbol, Dialect.STRICT) == text
    (rule,) = parse_yaml(f"rules:\n  - permit: ioctl\n    when: {text}\n", "x").rules
    assert rule.when == symbol


@pytest.mark.parametrize(
    "when",
    [
        "true or true and not true",
        "(true or true) and true",
        "not (true or true)",
        "not (true and true)",
        "(true and true) and true",
        "not not true",
    ],
)
def test_parentheses_stand_where_they_are_needed(when: str) -> None:
    """And nowhere else."""
    (rule,) = parse_yaml(f'rules:\n  - permit: read\n    when: "{when}"\n', "x").rules
    assert rule.when is not None
    assert format_expression(rule.when, Dialect.STRICT) == when


@pytest.mark.parametrize(
    "when",
    [
        "arg[1]:32 & (1|(2|4)) == TIOCSTI",
        "arg[0] & ((0x3)) == -1",
        "arg[2] & (O_WRONLY|O_RDWR) != (O_WRONLY|2)",
        "arg[0]:32   <=  -100",
    ],
)
def test_a_spelling_is_canonical_after_one_round(when: str) -> None:
    """Numbers stay as they were written; printing what was printed changes nothing."""
    policy = parse_yaml(f"rules:\n  - permit: ioctl\n    when: {when}\n", "x")
    text = format_yaml(policy)
    assert parse_yaml(text, "x") == policy
    assert format_yaml(parse_yaml(text, "x")) == text


def test_an_empty_policy_says_so() -> None:
    """`rules: []` stands there, also where it could be left out."""
    assert format_yaml(parse_yaml("detached: true", "x")) == (
        "detached: true\ndefault: ask\nrules: []\n"
    )


def test_templates_in_systraces_form() -> None:
    """Header, description and detached."""
    text = "Template: t, Emulation: native, Description: some text\ndetached\n\tnative-read: ask\n"
    (policy,) = parse_systrace(text, "x")
    assert format_systrace(policy) == text


def test_long_lists_are_wrapped_and_read_again() -> None:
    """Every call of the model in one rule: no line is longer than 96 columns."""
    policy = Policy(
        binary=None,
        dialect=Dialect.STRICT,
        rules=(Rule(calls=tuple(sorted(names())), when=None, action=Action.PERMIT),),
    )
    text = format_yaml(policy)
    assert max(map(len, text.splitlines())) <= 96
    assert parse_yaml(text, "x") == policy
    assert format_yaml(parse_yaml(text, "x")) == text


def test_all_calls_in_one_word() -> None:
    """A last rule on every call that has a name; the calls that others stand in are not among them,
    and the word comes back out.
    """
    text = "default: kill\nrules:\n  - permit: read\n  - deny[eacces]: all\n    log: true\n"
    policy = parse_yaml(text, "x")
    assert set(policy.rules[1].calls) == names() - {"socketcall", "ipc"}
    assert check_policy(policy, text) == ()
    assert format_yaml(policy) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{permit: [read, write], log: true}", "permit: [read, write] log"),
        ("{deny: all}", "deny: all"),
        ("{'deny[eacces]': read, when: 'true'}", "deny[eacces]: read when true"),
        ("{permit: bind, as: ':3', if: user = 0}", "permit: bind as :3 if user = 0"),
    ],
)
def test_a_rule_on_one_line(text: str, expected: str) -> None:
    """As messages show it."""
    (rule,) = parse_yaml(f"rules: [{text}]", "x").rules
    assert format_rule(rule, Dialect.STRICT) == expected


def test_an_errno_without_a_name_stays_a_number() -> None:
    """Where the system has no word for it."""
    rule = Rule(calls=("read",), when=TrueSymbol(), action=Action.DENY, errno=4000)
    assert format_rule(rule, Dialect.STRICT) == "deny[4000]: read when true"

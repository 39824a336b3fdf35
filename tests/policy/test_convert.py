"""From one dialect to the other: what is kept, what is lost, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enforcer.call import Action, Call, Value
from enforcer.condition import Operator
from enforcer.policy.ast import Dialect, NotExpression, Policy, RegisterSymbol, Rule
from enforcer.policy.convert import convert
from enforcer.policy.decide import decide
from enforcer.policy.format import format_expression, format_systrace, format_yaml
from enforcer.policy.parser import parse_systrace, parse_yaml

HEAD = "Policy: /bin/x, Emulation: native\n"


def to_strict(*rules: str) -> tuple[list[str], tuple[str, ...]]:
    """Rules of systrace in the strict dialect as `answer call: expression`, and the notes."""
    (policy,) = parse_systrace(HEAD + "".join(f"native-{rule}\n" for rule in rules), "x")
    converted, notes = convert(policy, Dialect.STRICT)
    return [_shown(rule, Dialect.STRICT) for rule in converted.rules], notes


def to_systrace(text: str) -> tuple[list[str], tuple[str, ...]]:
    """The same the other way, of rules in YAML; the default asks, so that it adds none."""
    converted, notes = convert(parse_yaml(f"rules:\n{text}", "x"), Dialect.SYSTRACE)
    return [_shown(rule, Dialect.SYSTRACE) for rule in converted.rules], notes


def _shown(rule: Rule, dialect: Dialect) -> str:
    when = "" if rule.when is None else f": {format_expression(rule.when, dialect)}"
    return f"{rule.action} {', '.join(rule.calls)}{when}"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('fsread: oflags eq "ro" then permit', []),
        ('fsread: not oflags eq "ro" then permit', ["permit fsread: true"]),
        ('fsread: oflags eq "ro" or filename sub "x" then deny', ['deny fsread: filename sub "x"']),
        ('fsread: filename sub "x" or oflags eq "ro" then deny', ['deny fsread: filename sub "x"']),
        (
            'fsread: filename sub "x" and not oflags eq "ro" then deny',
            ['deny fsread: filename sub "x"'],
        ),
        (
            'fsread: (not oflags eq "ro") and filename sub "x" then deny',
            ['deny fsread: filename sub "x"'],
        ),
        ('fsread: filename sub "x" and oflags eq "ro" then deny', []),
        ('fsread: filename sub "x" or not oflags eq "ro" then deny', ["deny fsread: true"]),
        (
            'fsread: filename sub "x" or filename sub "y" then deny',
            ['deny fsread: filename sub "x" or filename sub "y"'],
        ),
        ('read: sockaddr sub "x" then permit', []),
        ('io_uring_setup: sockaddr sub "x" then permit', ["permit io_uring_setup: not true"]),
    ],
)
def test_what_a_rule_of_systrace_cannot_see_is_folded_away(rule: str, expected: list[str]) -> None:
    """An alias shows file names alone, and a call what it has; the rest is false there."""
    assert to_strict(rule)[0] == expected


def test_what_becomes_strict_with_a_note() -> None:
    """Calls that Linux lacks, and second names under an alias, are left out and named."""
    rules, notes = to_strict(
        "mquery: permit", 'fsread: filename[1] eq "/a" then deny', "read: permit"
    )
    assert rules == ["permit read"]
    assert "mquery is no call of this system; its rules are left out" in notes
    assert any(note.endswith("it is left out, so that less is refused") for note in notes)


def test_case_is_noted_only_where_it_tells() -> None:
    """Registers print in one case, so that for them `eq` without case says no more."""
    assert to_strict('mprotect: prot eq "PROT_EXEC" then deny')[1] == ()
    assert to_strict('close: fd eq "x" then deny')[1] == ()
    for cased in ('mprotect: prot eq "prot_exec" then deny', 'stat: filename eq "/A" then deny'):
        assert "eq and neq compare with case now" in to_strict(cased)[1]


def test_equality_is_exact_in_systrace() -> None:
    """What compares with case becomes a regular expression, in which nothing is special."""
    rules, _ = to_systrace(
        '- permit: stat\n  when: filename eq "/a.b$"\n- deny: stat\n  when: filename neq "/A"\n'
    )
    assert rules == [
        'permit stat: filename re "^/a\\\\.b\\\\$$"',
        'deny stat: not filename re "^/A$"',
    ]


def test_what_systrace_cannot_say() -> None:
    """Killing, -now, templates and registers: each is noted, and refuses no less."""
    rules, notes = to_systrace(
        '- kill: mount\n- deny-now: read\n  when: fd eq "3"\n'
        + "- permit: ioctl\n  when: arg[1] == 1\n- deny: ioctl\n  when: arg[1] == 2\n"
    )
    assert rules == ["deny mount", 'deny read: fd eq "3"', "deny ioctl: true"]
    assert set(notes) == {
        "systrace cannot kill; what was killed is denied",
        "a filter of systrace has no -now",
        "systrace does not compare registers; those rules refuse more now",
    }
    policy = parse_yaml("default: kill\ninclude: [linux-runtime]\nrules: []", "x")
    converted, notes = convert(policy, Dialect.SYSTRACE)
    assert notes == ("systrace includes no templates; put their rules in first",)
    assert decide(converted, Call(name="read", abi="x86_64", args=(0,) * 6)).action is Action.KILL
    assert not converted.include


def test_a_rule_on_two_names_is_noted() -> None:
    """Under its own name a call with two names is judged by the first alone."""
    _, notes = to_systrace(
        '- permit: fswrite\n  when: filename sub "x"\n- deny: rename\n  when: true\n'
    )
    assert "rename names two files; its rule looks at the first only" in notes


def test_registers_under_an_alias_are_said_member_by_member() -> None:
    """An alias shows no flags; each call that has them gets the rule, with its membership."""
    text = '- permit: [fsread]\n  when: filename eq "/a" and oflags sub "ro"\n'
    rules, _ = to_systrace(text)
    assert {"permit open", "permit openat", "permit openat2"} <= {
        rule.split(":")[0] for rule in rules
    }
    assert not any("fsread" in rule for rule in rules)
    strict = parse_yaml(f"rules:\n{text}", "x")
    converted, _ = convert(strict, Dialect.SYSTRACE)
    for oflags in ("ro", "rwct"):
        call = Call(
            name="openat2",
            abi="x86_64",
            args=(0,) * 6,
            values=(
                Value(translator="filename", text="/a", exists=True),
                Value(translator="oflags", text=oflags, exists=True),
            ),
        )
        assert decide(strict, call).action is decide(converted, call).action


def test_the_same_dialect_is_no_conversion() -> None:
    """Nothing is changed and nothing is said."""
    policy = parse_yaml("default: kill\nrules: [{permit: read}]", "x")
    assert convert(policy, Dialect.STRICT) == (policy, ())


def test_both_forms_can_write_what_was_converted() -> None:
    """A converted policy is printed in its new form and read again as it is."""
    when = NotExpression(RegisterSymbol(argument=0, operator=Operator.LT, value=3))
    rules = (Rule(calls=("read", "fswrite"), when=when, action=Action.KILL),)
    strict = Policy(binary="/bin/x", dialect=Dialect.STRICT, rules=rules, default=Action.PERMIT)
    old, _ = convert(strict, Dialect.SYSTRACE)
    assert parse_systrace(format_systrace(old), "x") == (old,)
    back, _ = convert(old, Dialect.STRICT)
    assert parse_yaml(format_yaml(back), "x") == replace(back, source="x")

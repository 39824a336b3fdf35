"""Logic over what holds, what does not and what cannot be read, in decide and in the decider."""

from __future__ import annotations

from itertools import product

import pytest

from enforcer.call import Action, Decision
from enforcer.policy.ast import Dialect, Policy, Rule
from enforcer.policy.decide import concerning, decide, decision_of, default_decision, strictest
from enforcer.policy.decide import trial as trial_of
from enforcer.policy.parser import parse_yaml
from tests.policy.test_decide import answer, call, strict, systrace

HOLDS, FAILS, UNREAD = "holds", "fails", "unread"
ANSWERS = {HOLDS: "permit", FAILS: "deny[eperm]", UNREAD: "deny[efault]"}
TERMS = {
    HOLDS: ("arg[1] == 0", "true", 'call eq "openat"'),
    FAILS: ("arg[1] == 1", "not true", 'call eq "open"'),
    UNREAD: ('filename eq "/a"', 'not filename sub "b"', 'filename[0] match "/*"'),
}
"""Terms of each value on the call below: of registers, constant, and of memory."""

CALL = call("openat", filename=None)

BOTH = {
    (HOLDS, HOLDS): HOLDS,
    (HOLDS, FAILS): FAILS,
    (HOLDS, UNREAD): UNREAD,
    (FAILS, HOLDS): FAILS,
    (FAILS, FAILS): FAILS,
    (FAILS, UNREAD): FAILS,
    (UNREAD, HOLDS): UNREAD,
    (UNREAD, FAILS): FAILS,
    (UNREAD, UNREAD): UNREAD,
}
EITHER = {
    (HOLDS, HOLDS): HOLDS,
    (HOLDS, FAILS): HOLDS,
    (HOLDS, UNREAD): HOLDS,
    (FAILS, HOLDS): HOLDS,
    (FAILS, FAILS): FAILS,
    (FAILS, UNREAD): UNREAD,
    (UNREAD, HOLDS): HOLDS,
    (UNREAD, FAILS): UNREAD,
    (UNREAD, UNREAD): UNREAD,
}


@pytest.mark.parametrize(("left", "right"), BOTH)
@pytest.mark.parametrize(("word", "table"), [("and", BOTH), ("or", EITHER)])
def test_truth_tables(left: str, right: str, word: str, table: dict[tuple[str, str], str]) -> None:
    """`and` fails as soon as one side does, `or` holds as soon as one does; else unread stays."""
    for one, other in product(TERMS[left], TERMS[right]):
        got = answer(strict(f"'{one} {word} {other}'"), CALL)
        assert got == ANSWERS[table[left, right]], (one, word, other)


@pytest.mark.parametrize(("value", "expected"), [(HOLDS, FAILS), (FAILS, HOLDS), (UNREAD, UNREAD)])
def test_not(value: str, expected: str) -> None:
    """`not` turns round what is known, and makes nothing known."""
    for term in TERMS[value]:
        assert answer(strict(f"'not ({term})'"), CALL) == ANSWERS[expected]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("/tmp/a", "/tmp/b", "permit"),
        (None, "/tmp/b", "deny[efault]"),
        ("/tmp/a", None, "deny[efault]"),
        (None, None, "deny[efault]"),
        (None, "/etc/b", "deny[efault]"),
        ("/etc/a", None, "deny[erofs]"),
        ("/etc/a", "/tmp/b", "deny[erofs]"),
    ],
)
def test_an_unread_name_of_two(first: str | None, second: str | None, expected: str) -> None:
    """A rename is permitted only when both names were read and both may be written."""
    rules = 'default: deny[erofs]\nrules:\n  - permit: fswrite\n    when: filename match "/tmp/*"\n'
    assert answer(rules, call("rename", filename=first, filename2=second)) == expected


@pytest.mark.parametrize("when", ['filename eq ""', 'filename nsub "x"', 'filename neq "/a"'])
def test_an_unread_name_is_no_empty_name(when: str) -> None:
    """What an empty text would satisfy is not permitted for one that cannot be read."""
    assert answer(strict(f"'{when}'"), call("openat", filename="")) == "permit"
    assert answer(strict(f"'{when}'"), CALL) == "deny[efault]"
    assert answer(strict(f"'{when}'", "fsread"), CALL) == "deny[efault]"


@pytest.mark.parametrize(
    ("name", "rule", "expected"),
    [
        ("openat2", "fsread: permit", "deny[efault]"),
        ("openat2", 'fsread: filename eq "/b" then permit', "deny[efault]"),
        ("bind", "fswrite: deny[erofs]", "deny[efault]"),
        ("openat2", "openat2: permit", "permit"),
        ("bind", "bind: permit", "permit"),
    ],
)
def test_unread_membership(name: str, rule: str, expected: str) -> None:
    """Whether openat2 reads and bind writes hangs on memory; rules on the call itself do not."""
    assert answer(systrace(rule), call(name)) == expected
    unread = call(name, oflags=None, sockaddr=None, filename=None)
    assert answer(systrace(rule), unread) == expected


def test_the_whole_answer_where_nothing_is_read() -> None:
    """It names the rule, by its number."""
    policy = parse_yaml(
        'default: permit\nrules:\n  - deny: stat\n  - kill: openat\n    when: filename eq "/a"\n',
        "x",
    )
    assert decide(policy, CALL) == Decision(
        action=Action.DENY, errno=14, reason="rule 2 needs an argument that cannot be read"
    )


def test_the_whole_answer_of_exceptions() -> None:
    """Unknown calls, carriers and detached policies say why."""
    (detached,) = (parse_yaml("default: permit\ndetached: true\nrules: []", "x"),)
    refusing = parse_yaml("default: deny[erofs]\nrules: []", "x")
    said = {
        name: decide(refusing, call(name)) for name in ("no_such_call", "io_uring_enter", "read")
    }
    assert said == {
        "no_such_call": Decision(action=Action.DENY, errno=38, reason="unknown call no_such_call"),
        "io_uring_enter": Decision(
            action=Action.DENY, errno=38, reason="io_uring_enter performs other calls unseen"
        ),
        "read": Decision(action=Action.DENY, errno=30, reason="default"),
    }
    assert decide(detached, CALL) == Decision(action=Action.PERMIT, reason="the policy is detached")


def test_a_call_without_rules_is_answered_by_the_default_alone() -> None:
    """`concerning` gives the answer itself, so that nothing of the call need be read."""
    policy = parse_yaml("default: kill\nrules: [{permit: stat}]", "x")
    assert concerning(policy, "read", None) == Decision(action=Action.KILL, reason="default")
    assert not isinstance(concerning(policy, "stat", None), Decision)


ORDER = (Action.PERMIT, Action.ASK, Action.DENY, Action.KILL)


@pytest.mark.parametrize("milder", range(4))
@pytest.mark.parametrize("stricter", range(4))
def test_the_strictest_answer_stands(milder: int, stricter: int) -> None:
    """permit, ask, deny, kill, in whatever order they come; of equals one that is logged."""
    one, other = Decision(action=ORDER[milder]), Decision(action=ORDER[stricter])
    expected = ORDER[max(milder, stricter)]
    assert strictest([one, other]).action is strictest([other, one]).action is expected
    logged = Decision(action=ORDER[milder], log=True)
    assert strictest([one, logged]) == strictest([logged, one]) == logged


def test_only_refusals_have_an_errno() -> None:
    """Whatever number a rule or a default carries along."""
    for action in Action:
        rule = Rule(calls=("read",), when=None, action=action, errno=13)
        policy = Policy(
            binary=None, dialect=Dialect.STRICT, rules=(rule,), default=action, default_errno=30
        )
        denies = action is Action.DENY
        assert decision_of(rule, 0).errno == (13 if denies else 0)
        assert default_decision(policy).errno == (30 if denies else 0)


def test_a_trial_is_of_the_first_access() -> None:
    """Unless another is asked for."""
    policy = parse_yaml(strict("'filename eq \"/a\"'", "fswrite"), "x")
    rules = concerning(policy, "rename", None)
    assert not isinstance(rules, Decision)
    renamed = call("rename", filename="/a", filename2="/b")
    assert trial_of(policy, rules[0], renamed) is True
    assert trial_of(policy, rules[0], renamed, 1) is False

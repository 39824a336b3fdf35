"""Which name, message, caller and directory a rule sees, in decide and in the decider."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enforcer.call import Call, Value
from tests.policy.test_decide import answer, call, strict, systrace


def rules(*lines: str) -> str:
    return "default: permit\nrules:\n" + "".join(f"  - {line}\n" for line in lines)


DENY_B = 'deny[eacces]: {}\n    when: filename{} eq "/b"'

KILL_C = 'kill: {}\n    when: filename eq "/c"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rules(DENY_B.format("fswrite", "")), "deny[eacces]"),
        (rules(DENY_B.format("rename", "")), "permit"),
        (rules(DENY_B.format("rename", "[1]")), "deny[eacces]"),
        (rules(DENY_B.format("rename", ""), KILL_C.format("fswrite")), "permit"),
        (rules(KILL_C.format("fswrite"), DENY_B.format("rename", "")), "permit"),
        (rules(KILL_C.format("rename"), DENY_B.format("fswrite", "")), "deny[eacces]"),
        (rules(DENY_B.format("fswrite", ""), KILL_C.format("rename")), "deny[eacces]"),
        (strict("'filename[1] eq \"/b\"'", "fswrite"), "permit"),
        (strict("'filename[1] eq \"/a\"'", "fswrite"), "deny[eperm]"),
        (strict('\'filename eq "/a" or filename eq "/b"\'', "fswrite"), "permit"),
        (strict('\'filename eq "/a" or filename eq "/c"\'', "fswrite"), "deny[eperm]"),
    ],
)
def test_which_of_two_names(text: str, expected: str) -> None:
    """By an alias each in its turn as the first; by its own name and number, the one it says."""
    assert answer(text, call("rename", filename="/a", filename2="/b")) == expected


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("@a",), "permit"),
        (("@b",), "deny[eperm]"),
        (("@a", "@a", "@a"), "permit"),
        (("@a", "@a", "@b"), "deny[eperm]"),
        (("@b", "@a", "@a"), "deny[eperm]"),
        ((None, "@a"), "deny[efault]"),
        ((), "deny[efault]"),
    ],
)
def test_messages(addresses: tuple[str | None, ...], expected: str) -> None:
    """Every message of sendmmsg is judged, one alone as well; none at all was read."""
    values = tuple(Value(translator="sockaddr", text=text) for text in addresses)
    judged = replace(call("sendmmsg"), values=values)
    assert answer(strict("'sockaddr eq \"@a\"'", "sendmmsg"), judged) == expected


def by(uid: int, gid: int, judged: Call) -> Call:
    return replace(judged, uid=uid, gid=gid)


@pytest.mark.parametrize(
    ("predicate", "uid", "gid", "expected"),
    [
        ("user = 7", 7, 9, "permit"),
        ("user = 7", 9, 7, "ask"),
        ("group = 7", 9, 7, "permit"),
        ("group = 7", 7, 9, "ask"),
        ("group != 7", 7, 9, "permit"),
        ("user < 8", 7, 9, "permit"),
        ("group < 8", 7, 9, "ask"),
        ("user > 7", 7, 9, "ask"),
        ("group > 7", 7, 9, "permit"),
    ],
)
def test_predicates(predicate: str, uid: int, gid: int, expected: str) -> None:
    """Of the user or of the group, also for calls of several names."""
    own = systrace(f"open: permit, if {predicate}")
    assert answer(own, by(uid, gid, call("open", filename="/a"))) == expected
    alias = systrace(f'fswrite: filename match "/*" then permit, if {predicate}')
    renamed = by(uid, gid, call("rename", filename="/a", filename2="/b"))
    assert answer(alias, renamed) == expected


def test_a_predicate_that_fails_leaves_the_next_rule() -> None:
    """As any rule that does not hold."""
    text = systrace("open: deny, if user = 7", 'open: filename eq "/a" then permit')
    assert answer(text, by(1, 1, call("open", filename="/a"))) == "permit"
    assert answer(text, by(7, 1, call("open", filename="/a"))) == "deny[eperm]"
    assert answer(text, by(1, 1, call("open", filename=None))) == "deny[efault]"


def test_an_unread_rule_of_somebody_else_counts_for_nothing() -> None:
    """Where the predicate fails, nothing need be read."""
    text = systrace('open: filename eq "/a" then permit, if user = 7', "open: deny[eacces]")
    assert answer(text, by(1, 1, call("open", filename=None))) == "deny[eacces]"


NOWHERE = "/<non-existent filename>: /no/x"


@pytest.mark.parametrize(
    ("text", "judged", "expected"),
    [
        (systrace(f'open: filename eq "{NOWHERE}" then permit'), "open", "permit"),
        (systrace('open: filename eq "/no/x" then permit'), "open", "ask"),
        (systrace(f'fsread: filename eq "{NOWHERE}" then permit'), "open", "permit"),
        (systrace(f'bind: filename eq "{NOWHERE}" then permit'), "bind", "permit"),
        (systrace('bind: filename eq "/no/x" then permit'), "bind", "ask"),
        (systrace('bind: sockaddr eq "/no/x" then permit'), "bind", "permit"),
        (strict("'filename eq \"/no/x\"'", "open"), "open", "permit"),
        (strict("'filename sub \"non-existent\"'", "open"), "open", "deny[eperm]"),
        (strict("'filename eq \"/no/x\"'", "bind"), "bind", "permit"),
        (strict("'sockaddr eq \"/no/x\"'", "bind"), "bind", "permit"),
    ],
)
def test_names_in_no_directory(text: str, judged: str, expected: str) -> None:
    """The systrace dialect prints a name behind a mark; strict does not, nor for addresses."""
    missing = call(judged, exists=False, filename="/no/x")
    if judged == "bind":
        missing = call(judged, exists=False, sockaddr="/no/x", filename="/no/x")
    assert answer(text, missing) == expected


@pytest.mark.parametrize("rule", ["open", "fsread", "bind"])
def test_an_unread_name_in_no_directory(rule: str) -> None:
    """It is unread, whatever is known of its directory."""
    name = "bind" if rule == "bind" else "open"
    judged = call(name, exists=False, filename=None)
    text = systrace(f'{rule}: filename sub "non-existent" then permit')
    assert answer(text, judged) == "deny[efault]"


@pytest.mark.parametrize(
    ("address", "name"),
    [("/a", "/a"), ("@a", ""), ("inet-[::]:80", ""), ("unix-[]", ""), ("", ""), ("./@a", "./@a")],
)
def test_the_file_name_of_an_address(address: str, name: str) -> None:
    """bind's file name is the path in its address; of other addresses it is empty."""
    text = systrace(f'bind: filename eq "{name}" then permit')
    assert answer(text, call("bind", sockaddr=address)) == "permit"
    assert answer(text, call("bind", sockaddr="/other")) == "ask"

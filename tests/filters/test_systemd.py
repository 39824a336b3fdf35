"""systemd's SystemCallFilter=."""

from __future__ import annotations

import pytest

from enforcer.arch import native
from enforcer.filters import systemd
from enforcer.filters.call_sets import members, parse_call_sets
from enforcer.filters.systemd import read_systemd
from enforcer.policy.problem import PolicyError
from tests.filters.filters import said

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the tables below are those of x86_64"
)
LISTING = """@default
    # Always permitted
    exit
    getpid

@clock
    # Change the time
    settimeofday
    adjtimex

@privileged
    @clock
    chroot

# Unlisted
    acct
"""
KILL = "KILL_PROCESS"


@pytest.fixture(autouse=True)
def sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sets of a small systemd, whichever this machine has."""
    monkeypatch.setattr(systemd, "call_sets", lambda: parse_call_sets(LISTING))


def test_sets_are_parsed() -> None:
    """Sets have calls and sets; what stands under no set is in none."""
    found = parse_call_sets(LISTING)
    assert sorted(found) == ["@clock", "@default", "@privileged"]
    assert sorted(members("@privileged", found)) == ["adjtimex", "chroot", "settimeofday"]


def test_sets_that_hold_one_another() -> None:
    """They end."""
    assert members("@a", {"@a": ("@b", "read"), "@b": ("@a", "write")}) == ("read", "write")


@pytest.mark.parametrize(
    ("text", "call", "answer"),
    [
        ("SystemCallFilter=read", "read", "ALLOW"),
        ("SystemCallFilter=read", "write", KILL),
        ("SystemCallFilter=read", "getpid", "ALLOW"),
        ("SystemCallFilter=@privileged", "adjtimex", "ALLOW"),
        ("SystemCallFilter=~@privileged", "adjtimex", KILL),
        ("SystemCallFilter=~@privileged", "acct", "ALLOW"),
        ("SystemCallFilter=read @clock\nSystemCallFilter=~adjtimex", "adjtimex", KILL),
        ("SystemCallFilter=~@clock\nSystemCallFilter=adjtimex", "adjtimex", "ALLOW"),
        ("SystemCallFilter=~@clock\nSystemCallErrorNumber=EACCES", "adjtimex", "ERRNO(13 EACCES)"),
        ("SystemCallFilter=~adjtimex:EPERM acct", "adjtimex", "ERRNO(1 EPERM)"),
        ("SystemCallFilter=~adjtimex:EPERM acct", "acct", KILL),
        ("SystemCallFilter=read adjtimex:ENOSYS", "adjtimex", "KILL_PROCESS"),
        ("SystemCallFilter=read acct\nSystemCallFilter=~acct:EAGAIN", "acct", "ERRNO(11 EAGAIN)"),
        ("SystemCallFilter=~read\nSystemCallFilter=", "read", "ALLOW"),
        ("SystemCallFilter=~acct\nSystemCallLog=read", "read", "LOG"),
        ("SystemCallFilter=~acct\nSystemCallLog=acct", "acct", KILL),
        ("SystemCallFilter=read \\\n  write", "write", "ALLOW"),
        ("# a list\n@clock\nread\n", "adjtimex", "ALLOW"),
    ],
)
def test_meaning(text: str, call: str, answer: str) -> None:
    """What a unit answers to a call."""
    if text.endswith("SystemCallFilter="):
        text += "\nSystemCallFilter=~write"
    assert said(read_systemd(text, "a.service"), call) == answer


def test_architectures() -> None:
    """Without SystemCallArchitectures= other ABIs are judged by name, with it they are killed."""
    listed = "SystemCallFilter=~read"
    open_, shut = (
        read_systemd(f"{listed}\n{more}", "a.service")
        for more in ("", "SystemCallArchitectures=native")
    )
    assert said(open_, "read", abi="i386") == KILL
    assert said(open_, "write", abi="i386") == "ALLOW"
    assert said(shut, "write", abi="i386") == "KILL_THREAD"


def test_what_is_not_read_is_said() -> None:
    """Other directives are filters of their own; an unknown call is left out."""
    text = "SystemCallFilter=read reed\nRestrictNamespaces=yes"
    found = read_systemd(text, "a.service")
    assert [(each.line, each.message.split()[0]) for each in found.notes] == [
        (1, "no"),
        (2, "RestrictNamespaces="),
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[Service]\nUser=x", 1, "no SystemCallFilter="),
        ("\nSystemCallFilter=@clocks", 2, "no set @clocks"),
        ("SystemCallFilter=read:ENOTHING", 1, "no errno"),
        ("SystemCallFilter=read\nSystemCallArchitectures=z80", 2, "unknown architecture"),
    ],
)
def test_mistakes(text: str, line: int, words: str) -> None:
    """Each has one error, at its line."""
    with pytest.raises(PolicyError) as caught:
        read_systemd(text, "a.service")
    (problem,) = caught.value.problems
    assert (problem.line, words in problem.message) == (line, True), str(problem)

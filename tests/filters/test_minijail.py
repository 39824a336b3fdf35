"""Minijail's policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.filters.minijail import read_minijail
from enforcer.filters.read import read_filter
from enforcer.policy.problem import PolicyError
from tests.filters.filters import said, written

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the tables below are those of x86_64"
)
KILL = "KILL_THREAD"


@pytest.mark.parametrize(
    ("text", "call", "args", "answer"),
    [
        ("read: 1", "read", (), "ALLOW"),
        ("read: allow", "write", (), KILL),
        ("read: return EPERM", "read", (), "ERRNO(1 EPERM)"),
        ("read: return 38", "read", (), "ERRNO(38 ENOSYS)"),
        ("read: trap", "read", (), "TRAP"),
        ("read: log", "read", (), "LOG"),
        ("read: kill-process", "read", (), "KILL_PROCESS"),
        ("{read, write}: 1", "write", (), "ALLOW"),
        ("@default trap\nread: 1", "write", (), "TRAP"),
        ("@denylist\nread: return EPERM", "write", (), "ALLOW"),
        ("@denylist\nread: return EPERM", "read", (), "ERRNO(1 EPERM)"),
        ("@denylist\nread: arg0 == 3; return EPERM", "read", (3,), "ERRNO(1 EPERM)"),
        ("@denylist\nread: arg0 == 3; return EPERM", "read", (4,), "ALLOW"),
        ("read: arg0 == 3; return EBADF", "read", (3,), "ALLOW"),
        ("read: arg0 == 3; return EBADF", "read", (4,), "ERRNO(9 EBADF)"),
        ("read: { arg0 == 3; return EBADF, arg0 == 4 }", "read", (3,), "ERRNO(9 EBADF)"),
        ("read: { arg0 == 3; return EBADF, arg0 == 4 }", "read", (4,), "ALLOW"),
        ("read: { arg0 == 3; return EBADF, arg0 == 4 }", "read", (5,), KILL),
        ("mmap: arg2 in ~PROT_EXEC || arg2 in ~PROT_WRITE", "mmap", (0, 0, 5), "ALLOW"),
        ("mmap: arg2 in ~PROT_EXEC || arg2 in ~PROT_WRITE", "mmap", (0, 0, 6), KILL),
        ("mmap: arg3 in MAP_PRIVATE|MAP_ANONYMOUS", "mmap", (0, 0, 0, 0x22), "ALLOW"),
        ("mmap: arg3 in MAP_PRIVATE|MAP_ANONYMOUS", "mmap", (0, 0, 0, 0x32), KILL),
        ("open: arg1 & (O_WRONLY|O_RDWR)", "open", (0, 2), "ALLOW"),
        ("open: arg1 & (O_WRONLY|O_RDWR)", "open", (0, 0), KILL),
        ("read: arg0 > 3 && arg2 <= 0x10", "read", (1 << 32, 0, 16), "ALLOW"),
        ("read: arg0 > 3 && arg2 <= 0x10", "read", (4, 0, 17), KILL),
        ("read: arg0 == \\\n  3", "read", (3,), "ALLOW"),
        ("read[arch=arm]: 1\nwrite[arch=x86_64,arm]: 1", "read", (), KILL),
        ("read[arch=arm]: 1\nwrite[arch=x86_64,arm]: 1", "write", (), "ALLOW"),
        ("kill: 1 # the call", "kill", (), "ALLOW"),
        ("read: arg0 == 3\nread: arg0 == 4; return EBADF", "read", (3,), "ALLOW"),
        ("read: arg0 == 3\nread: arg0 == 4", "read", (4,), "ALLOW"),
        ("read: arg0 == 3\nread: arg0 == 4", "read", (5,), KILL),
        ("read: arg0 == 3\nread: return EPERM", "read", (4,), "ERRNO(1 EPERM)"),
        ("read: arg0 == 3\n@default trap", "read", (4,), "TRAP"),
        ("socket: arg1 == SOCK_STREAM|SOCK_CLOEXEC", "socket", (1, 0x80001), "ALLOW"),
    ],
)
def test_meaning(text: str, call: str, args: tuple[int, ...], answer: str) -> None:
    """What a statement answers to a call; 0x... at the kernel's own answers."""
    assert said(read_minijail(text, "p.policy"), call, *args).removesuffix("(0)") == answer


def test_other_abis_are_killed() -> None:
    """minijail compiles for one ABI."""
    found = read_minijail("read: 1", "p.policy")
    assert said(found, "read", abi="i386") == said(found, "read", abi="x32") == KILL


def test_include(tmp_path: Path) -> None:
    """A file is read in place, from beside the one that names it."""
    written(tmp_path, "common.policy", "write: 1\n")
    path = written(tmp_path, "p.policy", "@include ./common.policy\nread: 1\n")
    found = read_filter(path)
    assert [said(found, call) for call in ("read", "write", "close")] == ["ALLOW", "ALLOW", KILL]


def test_a_circle_of_includes(tmp_path: Path) -> None:
    """It is one error that names the circle."""
    written(tmp_path, "b.policy", "@include ./a.policy\n")
    path = written(tmp_path, "a.policy", "@include ./b.policy\n")
    with pytest.raises(PolicyError) as caught:
        read_filter(path)
    (problem,) = caught.value.problems
    assert "a.policy -> b.policy -> a.policy" in problem.message
    assert problem.source.endswith("b.policy")


def test_the_two_compilers_differ_and_it_is_said() -> None:
    """`expression; return` allows for minijail0, and refuses for the compiler in Python."""
    (note,) = read_minijail("read: arg0 == 3; return EBADF", "p.policy").notes
    assert "compiler in Python" in note.message


def test_a_second_statement_is_told() -> None:
    """Only one of minijail's two compilers joins them."""
    (note,) = read_minijail("read: arg0 == 3\nread: arg0 == 4", "p.policy").notes
    assert (note.line, "refuses a second statement for read" in note.message) == (2, True)


def test_an_installed_include_is_taken_from_beside(tmp_path: Path) -> None:
    """As published policies name it; that it is another file is told."""
    written(tmp_path, "common.policy", "write: 1\n")
    path = written(tmp_path, "p.policy", "@include /nowhere/policy/common.policy\nread: 1\n")
    found = read_filter(path)
    assert [said(found, call) for call in ("read", "write", "close")] == ["ALLOW", "ALLOW", KILL]
    (note,) = found.notes
    assert "no file at /nowhere/policy/common.policy" in note.message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("read: 1\nreed: 1", 2, "unknown call reed"),
        ("read: 1\nread: return EPERM", 2, "answered in every case already"),
        ("read: { arg0 == 1, return EPERM }\nread: 1", 2, "answered in every case already"),
        ("read 1", 1, "`:` is missing"),
        ("read: 2", 1, "no answer"),
        ("read: arg9 == 1", 1, "arg0 to arg5"),
        ("read: arg0 = 1", 1, "no comparison"),
        ("read: arg0 == O_NOTHING", 1, "no known number"),
        ("read: arg0 == " + "(" * 200, 1, "nested too deep"),
        ("read: return ENOTHING", 1, "no errno"),
        ("read[arch=z80]: 1", 1, "unknown architecture"),
        ("@includ ./x", 1, "unknown directive"),
        ("@include ./a\0b", 1, "a zero byte"),
        ("@include ./" + "a" * 5000, 1, "cannot be included"),
        ("@include ./missing.policy", 1, "cannot be included"),
        ("@default allow", 1, "cannot permit"),
        ("@default trap\n@default kill", 2, "stated already"),
        ("read: 1 $", 1, "`$` means nothing here"),
        ("{read, write: 1", 1, "`}` is missing"),
    ],
)
def test_mistakes(text: str, line: int, words: str) -> None:
    """Each has one error, at its line."""
    with pytest.raises(PolicyError) as caught:
        read_minijail(text, "p.policy")
    (problem,) = caught.value.problems
    assert (problem.line, words in problem.message) == (line, True), str(problem)


def test_x32_is_answered_as_what_is_not_named() -> None:
    """minijail looks at AUDIT_ARCH, which x32 shares: under a deny list all of it passes."""
    denies = read_minijail("@denylist\nread: return EPERM\n", "p.policy")
    assert [said(denies, "read", abi=abi) for abi in ("x86_64", "x32", "i386")] == [
        *("ERRNO(1 EPERM)", "ALLOW", "KILL_THREAD")
    ]
    kills = read_minijail("@default kill-process\nread: 1\n", "p.policy")
    assert said(kills, "read", abi="x32") == "KILL_PROCESS"

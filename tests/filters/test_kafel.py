"""Kafel's policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.filters.kafel import read_kafel
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
        ("ALLOW { read } DEFAULT KILL", "read", (), "ALLOW"),
        ("ALLOW { read }", "write", (), KILL),
        ("POLICY p { ERRNO(5) { read }, ALLOW { read } } USE p", "read", (), "ERRNO(5 EIO)"),
        ("POLICY p {} USE p DEFAULT ALLOW", "read", (), "ALLOW"),
        ("POLICY a { ALLOW { read } } POLICY b { USE a } USE b", "read", (), "ALLOW"),
        ("ALLOW { write(a, b, c) { a == 1, c < 4 } }", "write", (1, 0, 9), "ALLOW"),
        ("ALLOW { write(a, b, c) { a == 1, c < 4 } }", "write", (2, 0, 3), "ALLOW"),
        ("ALLOW { write(a, b, c) { a == 1, c < 4 } }", "write", (2, 0, 4), KILL),
        ("ALLOW { write { (fd & 0xf0) == 0xf0 } }", "write", (0x1F1,), "ALLOW"),
        ("ALLOW { write { (fd & 0xf0) == 0xf0 } }", "write", (0x1E1,), KILL),
        ("ALLOW { write { 1 < fd } }", "write", (2,), "ALLOW"),
        ("ALLOW { write { fd == 1 } }", "write", (1 << 32 | 1,), "ALLOW"),
        ("ALLOW { write { fd == 0x100000001 } }", "write", (1,), KILL),
        ("ALLOW { write(fd, b, c) { fd == 1 } }", "write", (1 << 32 | 1,), KILL),
        ("ALLOW { write { count == 1 } }", "write", (0, 0, 1 << 32 | 1), KILL),
        ("ALLOW { mmap { prot == 1 } }", "mmap", (0, 0, 1 << 32 | 1), KILL),
        ("ALLOW { write { 1 < fd } }", "write", (1,), KILL),
        ("#define ONE 1\nALLOW { write { fd == ONE|2 } }", "write", (3,), "ALLOW"),
        ("ALLOW { write { !(fd == 1) && (fd < 4 || fd == 9) } }", "write", (9,), "ALLOW"),
        ("ALLOW { write { !(fd == 1) && (fd < 4 || fd == 9) } }", "write", (1,), KILL),
        ("ALLOW { SYSCALL[0] }", "read", (), "ALLOW"),
        ("ALLOW { read ON arm, write ON { x86_64, arm } }", "read", (), KILL),
        ("ALLOW { read ON arm, write ON { x86_64, arm } }", "write", (), "ALLOW"),
        ("TRAP(3) { read }", "read", (), "TRAP(3)"),
    ],
)
def test_meaning(text: str, call: str, args: tuple[int, ...], answer: str) -> None:
    """What a policy answers to a call."""
    assert said(read_kafel(text, "p.kafel"), call, *args) == answer


_JAIL = """name: "jail"
mount { src: "/lib" dst: "/lib" }
seccomp_string: "ERRNO(5) { read }"
  seccomp_string: 'DEFAULT \\tALLOW // all\\n#define ONE 1'
cwd: "/tmp"
"""


def test_the_kafel_of_an_nsjail_configuration(tmp_path: Path) -> None:
    """Its strings are one policy."""
    found = read_filter(written(tmp_path, "jail.cfg", _JAIL))
    assert [said(found, call) for call in ("read", "write")] == ["ERRNO(5 EIO)", "ALLOW"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (_JAIL.replace("read", "reed"), (3, 29), "unknown call reed"),
        (_JAIL.replace("seccomp_string", "seccomp_log"), (1, 1), "no seccomp_string in it"),
    ],
)
def test_mistakes_of_an_nsjail_configuration(
    text: str, place: tuple[int, int], words: str, tmp_path: Path
) -> None:
    """They are told where they stand in the configuration."""
    with pytest.raises(PolicyError) as caught:
        read_filter(written(tmp_path, "jail.cfg", text))
    (problem,) = caught.value.problems
    assert ((problem.line, problem.column), words in problem.message) == (place, True)


def test_a_file_is_told_from_minijails(tmp_path: Path) -> None:
    """Both are called .policy; the text tells them apart."""
    kafel = written(tmp_path, "k.policy", "POLICY p { ALLOW { read } } USE p DEFAULT KILL\n")
    minijail = written(tmp_path, "m.policy", "# POLICY p {\nread: 1\n")
    assert [read_filter(path).form for path in (kafel, minijail)] == ["kafel", "minijail"]


def test_a_circle_of_includes(tmp_path: Path) -> None:
    """It is one error that names the circle."""
    written(tmp_path, "b.kafel", '#include "a.kafel"\n')
    path = written(tmp_path, "a.kafel", '#include "b.kafel"\n')
    with pytest.raises(PolicyError) as caught:
        read_filter(path)
    (problem,) = caught.value.problems
    assert "a.kafel -> b.kafel -> a.kafel" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("ALLOW {\n reed }", 2, "unknown call reed"),
        ("ALLOW { read", 1, "`}` is missing"),
        ("PERMIT { read }", 1, "no action"),
        ("USE p", 1, "no policy p"),
        ("DEFAULT KILL DEFAULT ALLOW", 1, "twice"),
        ("POLICY p {} POLICY p {}", 1, "twice"),
        ("ERRNO(70000) { read }", 1, "number that the kernel knows"),
        ("ALLOW { write { fd == size } }", 1, "no argument"),
        ("ALLOW { write { fd == count } }", 1, "two arguments"),
        ("ALLOW { write { 1 == 2 } }", 1, "two numbers"),
        ("ALLOW { write { " + "(" * 200 + " } }", 1, "nested too deep"),
        ("ALLOW { read ON z80 }", 1, "unknown architecture"),
        ('#include "a\0b"', 1, "a zero byte"),
        ('#include "missing"', 1, "cannot be included"),
        ("ALLOW { read } ;", 1, "`;` means nothing here"),
    ],
)
def test_mistakes(text: str, line: int, words: str) -> None:
    """The first has an error, at its line."""
    with pytest.raises(PolicyError) as caught:
        read_kafel(text, "p.kafel")
    (problem,) = caught.value.problems
    assert (problem.line, words in problem.message) == (line, True), str(problem)


def test_policies_that_double(tmp_path: Path) -> None:
    """USE within USE is counted, before it fills the memory."""
    text = "POLICY p0 { ALLOW { read }, ALLOW { write } }\n"
    text += "\n".join(f"POLICY p{n} {{ USE p{n - 1}, USE p{n - 1} }}" for n in range(1, 40))
    with pytest.raises(PolicyError, match="more than 20000 rules"):
        read_kafel(text, "p.kafel")


@pytest.mark.parametrize(
    ("default", "answer"), [("ALLOW", "ALLOW"), ("KILL_PROCESS", "KILL_PROCESS")]
)
def test_x32_is_answered_as_what_is_not_named(default: str, answer: str) -> None:
    """kafel looks at AUDIT_ARCH, which x32 shares; i386 is killed whatever the default."""
    found = read_kafel(f"ERRNO(1) {{ read }} DEFAULT {default}", "p.kafel")
    assert said(found, "read", abi="x32") == answer
    assert said(found, "read", abi="i386") == "KILL_THREAD"

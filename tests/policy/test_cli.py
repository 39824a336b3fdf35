"""`enforcer check`, `explain` and `convert` on files."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from enforcer.arch import native
from enforcer.cli.check import check
from enforcer.cli.convert import convert
from enforcer.cli.explain import explain
from enforcer.policy.parser import parse_systrace, parse_yaml
from enforcer.syscalls import ALIASES, number
from harness import process, tree
from harness.process import fork, wait

LS = Path(__file__).parents[2] / "scenarios" / "policies" / "bin_ls.systrace"
POLICIES = sorted(path for path in LS.parent.iterdir() if path.suffix in (".systrace", ".yaml"))


def ran(result: Result, status: int = 0) -> str:
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_shipped_policies_are_in_order(path: Path) -> None:
    """Every policy that is shipped loads."""
    assert f"{path}: in order" in ran(CliRunner().invoke(check, [str(path)]))


def test_check(tmp_path: Path) -> None:
    """Problems of all files, the canonical form, and JSON; 2 where one cannot be loaded."""
    bad, odd = tmp_path / "bad.yaml", tmp_path / "odd.yaml"
    bad.write_text("rules:\n  - permit: raed\n")
    odd.write_text("default: permit\nrules:\n  - deny:   connect\n")
    output = ran(CliRunner().invoke(check, [str(bad), str(LS), str(odd)]), 2)
    assert f"{bad}:2:13: unknown call `raed`" in output
    assert "did you mean read?" in output
    assert f"{bad}: 1 error" in output
    assert f"{LS}: in order, 1 policy, 11 rules" in output
    assert f"{odd}: in order, 1 policy, 1 rule, 1 warning" in output
    canonical = ran(CliRunner().invoke(check, ["--format", str(LS)]))
    assert parse_systrace(canonical, "x") == parse_systrace(LS.read_text(), "x")
    (line,) = ran(CliRunner().invoke(check, ["--json", str(bad)]), 2).splitlines()
    assert json.loads(line)["line"] == 2


@pytest.mark.parametrize("command", [check, convert, explain])
@pytest.mark.parametrize(("form", "text"), [("systrace", None), ("yaml", "rules: []\n")])
def test_a_policy_out_of_a_pipe(
    tmp_path: Path, command: click.Command, form: str, text: str | None
) -> None:
    """Its name says nothing: --dialect does, and it is read once."""
    pipe = tmp_path / "63"
    os.mkfifo(pipe)
    arguments = [str(pipe), *(["read"] if command is explain else [])]
    refused = ran(CliRunner().invoke(command, arguments), 2)
    assert "--dialect systrace or yaml" in refused

    def write() -> int:
        pipe.write_text(LS.read_text() if text is None else text)
        return 0

    writer = fork(write)
    ran(CliRunner().invoke(command, [*arguments, "--dialect", form]))
    wait(writer)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (
            b"rules: []\n# caf\xe9 noir\n",
            ":2:6: byte 0xe9 is not UTF-8\n    # caf\N{REPLACEMENT CHARACTER} noir\n         ^",
        ),
        ("# \N{LATIN SMALL LETTER E WITH ACUTE}".encode() + b"\xff", ":1:4: byte 0xff"),
    ],
)
def test_the_first_byte_that_is_not_utf8(tmp_path: Path, raw: bytes, place: str) -> None:
    """Is shown in its line, with a column that counts characters."""
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)
    assert f"{path}{place}" in ran(CliRunner().invoke(check, [str(path)]), 2)


def test_convert(tmp_path: Path) -> None:
    """There and back again; what is lost is said; what cannot be written is refused."""
    result = CliRunner().invoke(convert, [str(LS)])
    assert "policy: /bin/ls" in ran(result)
    assert "eq and neq compare with case now" in result.stderr
    path = tmp_path / "a.yaml"
    path.write_text("rules:\n  - kill: mount\n  - permit: [read, write]\n")
    result = CliRunner().invoke(convert, [str(path)])
    assert "systrace cannot kill" in result.stderr
    assert "native-mount: deny\n" in ran(result)
    same = ran(CliRunner().invoke(convert, [str(path), "--to", "strict"]))
    assert parse_yaml(same, "x") == parse_yaml(path.read_text(), "x")
    path.write_text("dialect: systrace\nrules:\n  - kill: mount\n")
    ran(CliRunner().invoke(convert, [str(path), "--to", "systrace"]), 2)
    path.write_text("rules: 1")
    ran(CliRunner().invoke(convert, [str(path)]), 2)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("openat AT_FDCWD /etc O_RDONLY", "openat: deny[enotdir]"),
        ("openat AT_FDCWD /etc O_RDONLY", "rule 5 decides"),
        ("openat AT_FDCWD /etc O_RDONLY", "filename eq \"/tmp\": no ('/etc')"),
        ("openat AT_FDCWD /etc O_RDONLY", "openat belongs to fsread: yes"),
        ("openat AT_FDCWD /etc O_RDONLY", "registers decide some calls of this name"),
        ("open filename=/var flags=O_CREAT|2", "open: ask"),
        ("openat2 filename=/usr/x oflags=ro", "openat2: permit"),
        ("openat2 filename=- oflags=ro", "rule 3 unreadable"),
        ("newfstatat filename=/var", "registers decide every call of this name"),
        ("io_uring_setup", "performs other calls unseen"),
        ("fcntl fd=3 arg[1]=F_GETFL", "fcntl: permit"),
        ("ioctl 1 TIOCSTI", "decided by: default"),
        ("link /usr/a /usr/b", "link: ask"),
    ],
)
def test_explain(args: str, expected: str) -> None:
    """The answer, the rule that gave it, and what was compared on the way."""
    assert expected in ran(CliRunner().invoke(explain, [str(LS), *args.split()]))


@pytest.mark.parametrize(
    ("alias", "path", "answers"),
    [
        ("fsread", "/etc/shadow", {"deny[enoent]": "openat2", "deny[eperm]": None}),
        ("fsread", "/etc", {"deny[eperm]": "openat2"}),
        ("fswrite", "/tmp", {"permit": "bind"}),
        ("fswrite", "/etc", {"deny[eperm]": "openat2"}),
    ],
)
def test_explain_an_alias(
    tmp_path: Path, alias: str, path: str, answers: dict[str, str | None]
) -> None:
    """Every call of the alias that the machine has, those of one answer together."""
    file = tmp_path / "a.yaml"
    file.write_text(
        """default: deny
rules:
  - deny[enoent]: fsread
    when: filename eq "/etc/shadow"
  - permit: fswrite
    when: filename inpath "/tmp/x"
"""
    )
    output = ran(CliRunner().invoke(explain, [str(file), alias, path]))
    said = dict(re.findall(rf"^{alias} {path}: (\S+)\n.*\n((?:    .*\n)+)", output, re.M))
    calls = {answer: re.findall(r"[a-z0-9_]+", text) for answer, text in said.items()}
    assert set(calls) == {answer for answer, call in answers.items() if call is not None}
    for answer, call in answers.items():
        assert call is None or call in calls[answer]
    found = [call for each in calls.values() for call in each]
    wanted = {name for name in ALIASES[alias] if number(native().abis[0].name, name) is not None}
    assert sorted(found) == sorted(wanted)


def test_explain_yaml(tmp_path: Path) -> None:
    """Elevation, users, several names and several policies."""
    path = tmp_path / "a.yaml"
    path.write_text(
        """default: deny
rules:
  - permit: fswrite
    when: filename match "/tmp/*"
    log: true
  - permit: bind
    when: sockaddr eq "inet-[0.0.0.0]:80" and arg[2] >= 1
    as: root
    if: user = 33
"""
    )
    output = ran(CliRunner().invoke(explain, [str(path), "rename", "/tmp/a", "/etc/b"]))
    assert "judged 2 times" in output
    assert "number 2 decides" in output
    output = ran(
        CliRunner().invoke(
            explain,
            [str(path), "bind", "3", "inet-[0.0.0.0]:80", "16", "--user", "33", "--abi", "i386"],
        )
    )
    assert "bind: permit with other ids" in output
    assert "arg[2] >= 1: yes (0x10)" in output
    assert "permit, logged" in ran(CliRunner().invoke(explain, [str(path), "unlink", "/tmp/a"]))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["opne"], "did you mean open?"),
        (["close", "1", "2"], "is more"),
        (["close", "fb=1"], "close has no fb"),
        (["ioctl", "1", "TIOCSTII"], "did you mean TIOCSTI?"),
        (["ioctl", "1", "TIOCSTY"], "did you mean TIOCSTI?"),
        (["fsrea", "/x"], "did you mean fsread?"),
        (["fsread"], "give one file name"),
        (["fsread", "filename=/x"], "give one file name"),
        (["close", "--user", "no-such-user"], "no user"),
        (["close", "--binary", "/bin/cp"], "choose one with --binary"),
    ],
)
def test_explain_refuses(args: list[str], message: str) -> None:
    """A call that cannot be read is a usage error with the fix."""
    assert message in ran(CliRunner().invoke(explain, [str(LS), *args]), 2)


def test_explain_needs_a_policy(tmp_path: Path) -> None:
    """A policy that cannot be loaded is shown with its problems."""
    path = tmp_path / "a.yaml"
    path.write_text("rules: 1")
    assert "rules are a list" in ran(CliRunner().invoke(explain, [str(path), "read"]), 2)


MISTAKES = {
    "a directory": (["check", "."], "is a directory"),
    "nothing in it": (["check", "empty.systrace"], "the file has no policy"),
    "no text": (["check", "binary.yaml"], "this is not a text file"),
    "no room for what is printed": (["convert", "good.yaml"], "No space left on device"),
    "no room for the help": (["--help"], "No space left on device"),
    "no room for the log": (
        ["run", "-p", "good.yaml", "-b", "seccomp", "--log", "/dev/full", "--", "echo", "started"],
        "Error: /dev/full: No space left on device; nothing was started",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    """What a newcomer gets wrong, and what the system refuses, never ends in a traceback."""
    (tmp_path / "empty.systrace").write_text("# nothing yet\n")
    (tmp_path / "binary.yaml").write_bytes(b"\x7fELF\0\0\xff")
    (tmp_path / "good.yaml").write_text("default: permit\nrules: []\n")
    words, message = MISTAKES[name]
    full = name in ("no room for what is printed", "no room for the help")
    command = (
        shlex.join(["env", f"PYTHONPATH={tree.OWN}", sys.executable, "-m", "enforcer", *words])
        + " > /dev/full" * full
    )
    said = process.run(["sh", "-c", command], timeout_s=60.0, cwd=tmp_path)
    assert said.status == 2
    assert message in said.stderr
    assert "Traceback" not in said.stderr
    assert "started\n" not in said.stdout


@pytest.mark.parametrize("words", [["convert", "a.yaml"], ["--help"], ["nonsense"]])
@pytest.mark.parametrize("unbuffered", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "not"])
@pytest.mark.parametrize("to", ["| true", ">&-"], ids=["nobody reads", "closed"])
def test_who_does_not_listen_is_told_nothing(
    tmp_path: Path, words: list[str], unbuffered: dict[str, str], to: str
) -> None:
    """`enforcer ... | head` ends silently, whenever Python finds that nobody reads any more."""
    (tmp_path / "a.yaml").write_text("default: permit\nrules: []\n")
    environment = {**os.environ, **unbuffered, "PYTHONPATH": str(tree.OWN)}
    command = shlex.join([sys.executable, "-m", "enforcer", *words])
    said = process.run(["sh", "-c", f"{command} {to}"], cwd=tmp_path, env=environment)
    assert ("No such command" in said.stderr) == (words == ["nonsense"])
    for word in ("Errno", "Traceback", "standard output"):
        assert word not in said.stderr

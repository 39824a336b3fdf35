"""Policies as systrace's users had them, on three systems: read, checked, converted and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from enforcer.mechanisms.ptrace import MECHANISM
from enforcer.policy.ast import TextSymbol
from enforcer.policy.check import check_policy
from enforcer.policy.parser import parse_file, parse_systrace
from enforcer.policy.problem import Severity

OLD = Path(__file__).parent / "old"
ENFORCER = (sys.executable, "-m", "enforcer")
UNKNOWN = {
    "linux": {"old_mmap", "newuname"},
    "netbsd": {
        "__stat13",
        "__fstat13",
        "__sigaction_sigtramp",
        "__sigprocmask14",
        "kevent",
        "kqueue",
    },
    "openbsd": {"issetugid", "mquery", "minherit"},
}
"""Calls of that system which no call of Linux stands for: no program makes them here."""


@pytest.mark.parametrize("system", sorted(UNKNOWN))
def test_an_old_policy_is_read_as_it_is(system: str) -> None:
    """Every line is a rule; what this system has no call for is a warning, and nothing an error."""
    path = OLD / f"{system}.systrace"
    (policy,) = parse_file(path)
    lines = enumerate(path.read_text().splitlines(), 1)
    written = {number for number, line in lines if re.match(r"\s+\w+-\w+:", line)}
    assert {rule.position.line for rule in policy.rules if rule.position} == written
    problems = check_policy(policy)
    assert {each.severity for each in problems} <= {Severity.WARNING}
    unknown = [each.message for each in problems if "unknown call" in each.message]
    assert {message.split("`")[1] for message in unknown} == UNKNOWN[system]


@pytest.mark.parametrize(
    ("written", "means", "column"),
    [
        ('match "inet-\\[*"', "inet-[*", 33),
        ('match "inet-\\\\\\[*"', "inet-\\[*", 35),
        ('eq "a\\\\b\\"c"', 'a\\b"c', None),
    ],
)
def test_a_backslash_that_systrace_drops(written: str, means: str, column: int | None) -> None:
    """Before any character but its own four it goes (lex.l); that a pattern lacks it is told."""
    text = f"Policy: /bin/x, Emulation: native\n native-connect: sockaddr {written} then permit\n"
    (policy,) = parse_systrace(text, "x")
    (rule,) = policy.rules
    assert isinstance(rule.when, TextSymbol)
    assert rule.when.operand == means
    told = [each.column for each in check_policy(policy, text) if "strings" in each.message]
    assert told == [] if column is None else [column]


def enforcer(*words: str | Path, home: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    """The command line."""
    return subprocess.run(
        [*ENFORCER, *map(str, words)],
        cwd=home,
        env={**os.environ, "HOME": str(home), "LC_ALL": "C"},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("system", sorted(UNKNOWN))
def test_an_old_policy_is_converted(system: str, tmp_path: Path) -> None:
    """Into the strict dialect; each call that is left out is named, and the result is in order."""
    done = enforcer("convert", OLD / f"{system}.systrace", home=tmp_path)
    assert done.returncode == 0
    left_out = re.findall(r"(\w+) is no call of this system", done.stderr)
    assert set(left_out) == UNKNOWN[system]
    (tmp_path / "new.yaml").write_text(done.stdout)
    assert enforcer("check", "new.yaml", home=tmp_path).returncode == 0


@pytest.mark.skipif(bool(MECHANISM.probe()), reason=f"ptrace: {MECHANISM.probe()}")
def test_an_old_policy_of_linux_is_enforced(tmp_path: Path) -> None:
    """What $HOME means is read; the file beside it is refused, and logged in systrace's line."""
    (tmp_path / "data").write_text("content\n")
    (tmp_path / "beside").write_text("content\n")
    words = ("run", "-p", OLD / "linux.systrace", "-e", "--", "cat", "data", "beside")
    done = enforcer(*words, home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "content\n")
    assert f"filename: {tmp_path}/beside, reason: default" in done.stderr
    assert f"filename: {tmp_path}/data" not in done.stderr

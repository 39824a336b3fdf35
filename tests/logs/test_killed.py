"""Who is killed by SIGKILL says nothing: somebody else does, once, and nothing runs unjudged."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from enforcer.mechanisms import notify, ptrace

pytestmark = pytest.mark.skipif(
    bool(ptrace.MECHANISM.probe() or notify.MECHANISM.probe()), reason="ptrace or notify lacks"
)

ENFORCER = (sys.executable, "-m", "enforcer")
POLICY = """\
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename sub "secret"
  - permit: [fsread, fswrite]
    when: filename match "/*"
"""
TARGET = "echo begun; read line; cat secret; echo end"
ENDED = "the supervisor was killed: all that it supervised was killed with it"
REFUSED = "the supervisor was killed: the calls that it would judge fail now (ENOSYS)"
UNHEARD = "nobody records any more what the command does, and nothing is refused"


def called(name: str, marker: str) -> int:
    """The process of that name with the marker among its words."""
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and marker.encode() in (entry / "cmdline").read_bytes().split(b"\0")
                and (entry / "comm").read_text() == f"{name}\n"
            ):
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError(f"no {name}")


def _killed(at: Path, victim: str, *words: str) -> tuple[int, str, list[str]]:
    """Status, output, and what the enforcer says when the victim is killed while TARGET waits."""
    (at / "policy.yaml").write_text(POLICY)
    (at / "secret").write_text("content\n")
    marker = secrets.token_hex(8)
    with subprocess.Popen(
        [*ENFORCER, *words, "--", "sh", "-c", TARGET, marker],
        cwd=at,
        env={**os.environ, "XDG_RUNTIME_DIR": str(at), "LC_ALL": "C"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        pid = process.pid if victim == "self" else called(victim, marker)
        os.kill(pid, signal.SIGKILL)
        output, errors = process.communicate("line\n", timeout=60)
    prefix = "enforcer: "
    said = [line for line in errors.splitlines() if line.startswith(prefix)]
    return process.returncode, output, [line.removeprefix(prefix) for line in said]


@pytest.mark.parametrize(
    ("victim", "words", "status", "says"),
    [
        ("tracer", ("run", "-p", "policy.yaml"), -9, ENDED),
        ("tracer", ("learn", "-d", "policies"), 137, ENDED),
        ("supervisor", ("run", "-b", "notify", "-p", "policy.yaml"), 0, REFUSED),
    ],
    ids=["run", "learn", "notify"],
)
def test_a_supervisor_that_is_killed(
    tmp_path: Path, victim: str, words: tuple[str, ...], status: int, says: str
) -> None:
    """A traced command ends with it; one of notify goes on, and what was judged fails."""
    returned, output, said = _killed(tmp_path, victim, *words)
    assert "content" not in output
    assert (returned, output) == (status, "end\n" if says is REFUSED else "")
    assert said.count(says) == 1


def test_a_learner_that_is_killed(tmp_path: Path) -> None:
    """Learning refuses nothing, before and after; that nothing is recorded any more is said."""
    returned, output, said = _killed(tmp_path, "self", "learn", "-d", "policies")
    assert (returned, output) == (-9, "content\nend\n")
    assert said == [UNHEARD]


def test_a_console_that_is_killed(tmp_path: Path) -> None:
    """What it would be asked is denied from then on."""
    words = ("ask", "-b", "notify", "--partial", "--policy", "asks.yaml")
    (tmp_path / "asks.yaml").write_text(POLICY.replace("deny[eacces]", "ask"))
    returned, output, said = _killed(tmp_path, "self", *words)
    assert (returned, output) == (-9, "end\n")
    assert said == ["the console went away: what would be asked is denied until another one comes"]


def test_a_supervisor_that_was_attached_and_is_killed(tmp_path: Path) -> None:
    """Its target goes on unsupervised, as documented, and that is said."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "secret").write_text("content\n")
    with (
        subprocess.Popen(
            ["sh", "-c", "read line; cat secret"],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as target,
        subprocess.Popen(
            [*ENFORCER, "attach", "-p", "policy.yaml", str(target.pid)],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        ) as tracer,
    ):
        assert tracer.stderr is not None
        while "Ctrl-C" not in (line := tracer.stderr.readline()):
            assert line
        tracer.kill()
        said = tracer.stderr.read()
        assert target.communicate("line\n", timeout=60)[0] == "content\n"
    fate = f"what was attached to ({target.pid}) goes on unsupervised"
    assert said == f"enforcer: the supervisor was killed: {fate}\n"

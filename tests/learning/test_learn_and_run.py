"""Learn, then enforce: the same again is permitted, and nothing else is."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from enforcer.learning.store import PARTIAL
from enforcer.mechanisms import notify
from enforcer.mechanisms.ptrace import MECHANISM

pytestmark = pytest.mark.skipif(bool(MECHANISM.probe()), reason=f"ptrace: {MECHANISM.probe()}")

ENFORCER = (sys.executable, "-m", "enforcer")
WORK = "cat data; mv data other; mv other data; echo more > new; rm new"
EXTRA = {
    "cat /etc/shadow": "/etc/shadow",
    "exec 3</etc/shadow": "/etc/shadow",
    "cat /etc/hostname": "cat /etc/hostname",
    "echo x > beside": "/beside",
    "echo x > /tmp/beside": "/tmp/beside",
    "rm data": "rm data",
    "mv data gone": "mv data gone",
    "mkdir sub": "/bin/mkdir",
    "ln data hard": "/bin/ln",
    "ln -s data soft": "/bin/ln",
    "chmod 777 data": "/bin/chmod",
    "touch data": "/bin/touch",
    "ls /": "/bin/ls",
    "sh -c :": "/bin/dash",
    "bash -i": "/bin/bash",
    "id": "/bin/id",
    "kill -9 1": "SIGKILL",
    "cd /etc": "chdir",
    "umask 0": "umask",
    "mknod p p": "/bin/mknod",
    "perl -e1": "/bin/perl",
}
"""Twenty planted actions and one more, and what their refusal names."""


def enforcer(*words: str | Path, at: Path) -> subprocess.CompletedProcess[str]:
    """The command line, in a directory."""
    environment = {**os.environ, "HOME": str(at), "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    return subprocess.run(
        [*ENFORCER, *map(str, words)],
        cwd=at,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refusals(log: Path) -> Sequence[dict[str, object]]:
    """The decisions that a log has."""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return [event for event in events if event["event"] == "decision"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with data, and the policies of WORK in `policies`."""
    place = tmp_path_factory.mktemp("learned")
    (place / "data").write_text("content\n")
    done = enforcer("learn", "-d", "policies", "--summary", "--", "sh", "-c", WORK, at=place)
    assert done.returncode == 0, done.stderr
    assert "distinct" in done.stdout
    return place


def test_nothing_is_recorded_that_could_not_be_written(tmp_path: Path) -> None:
    """A place for policies that cannot be one is said before the command begins."""
    (tmp_path / "file").write_text("")
    done = enforcer("learn", "-d", "file/policies", "--", "touch", "begun", at=tmp_path)
    assert done.returncode == 2
    assert "nothing was started" in done.stderr
    assert not (tmp_path / "begun").exists()


def test_the_same_again_is_not_refused(learned: Path) -> None:
    """One policy for each binary, no wildcard in any, and all of the work is done."""
    files = sorted((learned / "policies").iterdir())
    assert {"usr_bin_cat", "usr_bin_mv", "usr_bin_rm"} < {path.name for path in files}
    texts = [path.read_text() for path in files]
    assert not any(word in text for text in texts for word in (" match ", " sub ", "*"))
    patterns = {found for text in texts for found in re.findall(r" re (\S+)", text)}
    assert patterns <= {r'"^pipe:\\[[0-9]+\\]$"'}, "a pipe has no name that comes again"
    done = enforcer("run", "-d", "policies", "--log", "log", "--", "sh", "-c", WORK, at=learned)
    assert (done.returncode, done.stdout, done.stderr) == (0, "content\n", "")
    assert refusals(learned / "log") == []


def test_twenty_planted_actions_are_refused_and_logged(learned: Path) -> None:
    """The work before them is done still; none leaves a trace but in the log."""
    script = f"cat data; {'; '.join(f'( {act} )' for act in EXTRA)}"
    (learned / "log").unlink(missing_ok=True)
    before = sorted(path.name for path in learned.iterdir())
    done = enforcer("run", "-d", "policies", "--log", "log", "--", "sh", "-c", script, at=learned)
    assert done.stdout == "content\n"
    found = refusals(learned / "log")
    (learned / "log").unlink()
    assert sorted(path.name for path in learned.iterdir()) == before
    assert (learned / "data").read_text() == "content\n"
    told = [json.dumps([event["call"], event["values"]]) for event in found]
    assert [act for act, sign in EXTRA.items() if not any(sign in line for line in told)] == []


def test_a_permissive_run_refuses_nothing_and_proposes_rules(learned: Path) -> None:
    """The log has what would have been refused."""
    done = enforcer(
        *("run", "-d", "policies", "--permissive", "--log", "tolerated"),
        *("--", "sh", "-c", "cat data; umask 0"),
        at=learned,
    )
    assert (done.returncode, done.stdout) == (0, "content\n")
    assert "native-umask" in done.stderr
    found = [event for event in refusals(learned / "tolerated") if event["call"] == "umask"]
    (learned / "tolerated").unlink()
    assert {(event["action"], event["would_be"]) for event in found} == {("permit", "ask")}


@pytest.mark.skipif(bool(notify.MECHANISM.probe()), reason=f"notify: {notify.MECHANISM.probe()}")
def test_what_notify_takes_with_partial_alone_is_said(tmp_path: Path) -> None:
    """When it is learned, with calls and reason; the policy is taken with it, and not without."""
    words = ("sh", "-c", "cd /; cat /dev/null")
    done = enforcer("learn", "-b", "notify", "-d", "policies", "--", *words, at=tmp_path)
    (line,) = (each for each in done.stderr.splitlines() if "--partial" in each)
    assert re.search(r": notify takes it with --partial: chdir, .*execve: nobody can do it", line)
    run = ("run", "-b", "notify", "-d", "policies")
    assert enforcer(*run, "--", *words, at=tmp_path).returncode == 2
    assert enforcer(*run, "--partial", "--", *words, at=tmp_path).returncode == 0


@pytest.mark.parametrize("backend", ["ptrace", "notify"])
def test_a_broken_edit_keeps_the_policy_and_a_good_one_counts(tmp_path: Path, backend: str) -> None:
    """Both while the command runs, and both are said in the log."""
    policy, pipe, log = tmp_path / "p.yaml", tmp_path / "pipe", tmp_path / "log"
    (tmp_path / "data").write_text("content\n")
    permits = "default: deny[eperm]\nrules:\n  - permit: all\n"
    policy.write_text(permits)
    os.mkfifo(pipe)
    lines = os.open(pipe, os.O_RDWR)  # which does not wait for a reader
    loop = "while read line < pipe && [ $line = again ]; do read line < data; echo $line; done"
    words = ("run", "-b", backend, "-p", policy, "--reread", "--log", log)
    with subprocess.Popen(
        [*ENFORCER, *map(str, words), "--", "sh", "-c", loop],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None

        def told(reason: str) -> str:
            """What the command reads once the log has `reason`."""
            assert process.stdout is not None
            for _ in range(20000):
                os.write(lines, b"again\n")
                line = process.stdout.readline()
                if reason in log.read_text():
                    os.write(lines, b"again\n")
                    return process.stdout.readline()
                if not line:
                    break
            raise AssertionError(log.read_text())

        assert told("enforcing") == "content\n"
        policy.write_text("rubbish")
        assert told("cannot be read again") == "content\n"
        denies = f'  - deny[enolink]: [open, openat]\n    when: filename eq "{tmp_path}/data"\n'
        policy.write_text(permits.replace("rules:\n", f"rules:\n{denies}"))
        assert told('"read again"') != "content\n"
        os.write(lines, b"end\n")
        process.communicate(timeout=30)
    os.close(lines)
    assert any(event["call"] == "openat" for event in refusals(log))


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 0), (signal.SIGINT, 130)]
)
def test_an_interrupted_recording_is_kept_and_called_partial(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """At SIGUSR1 too, which ends nothing."""
    (tmp_path / "pipe").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(
        [*ENFORCER, "learn", "-d", "policies", "--", "sh", "-c", "echo begun; read line < pipe"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        if number is signal.SIGUSR1:
            (tmp_path / "pipe").write_text("end\n")
        _, told = process.communicate(timeout=30)
    (path,) = (tmp_path / "policies").iterdir()
    is_partial = path.read_text().startswith(PARTIAL)
    assert is_partial == (number is not signal.SIGUSR1)
    assert process.returncode == status
    assert ("partial" in told) == is_partial

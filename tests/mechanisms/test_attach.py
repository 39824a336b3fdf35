"""Attaching to what runs already: nothing is unjudged from then on, and all runs on afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from enforcer.kernel.ptrace import TaskGone, let_go, seize
from enforcer.mechanisms.ptrace import MECHANISM, tree
from enforcer.mechanisms.ptrace.tree import CannotAttach

pytestmark = pytest.mark.skipif(bool(MECHANISM.probe()), reason=f"ptrace: {MECHANISM.probe()}")

ENFORCER = (sys.executable, "-m", "enforcer")
POLICY = """\
default: permit
rules:
  - deny[eacces]: fsread
    when: filename eq "{denied}"
  - permit: fsread
    when: filename match "/*"
"""
TRIES = """\
import os, sys, threading
denied, phase = sys.argv[1], os.open(sys.argv[2], os.O_RDONLY)
def attempt(depth):
    while True:
        begun = os.pread(phase, 1, 0)
        try:
            os.close(os.open(denied, os.O_RDONLY))
            os.write(1, begun + b"opened\\n")
        except PermissionError:
            os.write(1, begun + b"refused\\n")
        if depth:
            made = threading.Thread(target=attempt, args=(depth - 1,))
            made.start()
            if depth == 3 and os.fork() == 0:
                os.write(1, begun + b"born\\n")
            made.join()
        elif begun == b"0":
            return
attempt(3)
"""
"""Threads and processes that are being born all the time, each of which opens what is denied."""

READS = 'echo ready; while read line; do read data < "$1" && echo "$line $data"; done'
"""Reads the file whenever it is told a line."""


def policy(place: Path, denied: Path) -> Path:
    """A file with POLICY."""
    file = place / "policy.yaml"
    file.write_text(POLICY.format(denied=denied))
    return file


@contextmanager
def running(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A target with pipes, ended with its whole group."""
    with subprocess.Popen(
        list(map(str, words)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
        process_group=0,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def attached(pid: int, *words: str | Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command, once it says that every call is judged; and what it said until then."""
    with subprocess.Popen(
        [*ENFORCER, "attach", *map(str, words), str(pid)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            for line in process.stderr:
                said.append(line)
                if "attached to" in line:
                    break
            assert said, "nothing was said"
            assert "; Ctrl-C lets go" in said[-1], said
            yield process, said
        finally:
            process.kill()


def let_go_of(process: subprocess.Popen[str]) -> None:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    said = process.stderr.read()
    assert "no longer attached" in said
    assert process.wait() == 0, said


def ask(target: subprocess.Popen[str], line: str) -> str:
    """What READS answers to a line; nothing where its file was refused."""
    assert target.stdin is not None
    assert target.stdout is not None
    target.stdin.write(f"{line}\n")
    return target.stdout.readline()


def refusals(log: Path) -> list[str]:
    """The names of what was refused."""
    events = map(json.loads, log.read_text().splitlines())
    return [
        name
        for event in events
        if event["event"] == "decision" and event["action"] == "deny"
        for name in event["values"].get("filename", ())
    ]


def test_nothing_is_unjudged_while_threads_and_processes_are_born(tmp_path: Path) -> None:
    """What began after the word that all are attached is refused, in each of them; not before.

    Nor is it after they were let go of, while more are being born.
    """
    denied, phase = tmp_path / "denied", tmp_path / "phase"
    denied.write_text("content")
    phase.write_text("0")
    with running(sys.executable, "-c", TRIES, denied, phase) as target:
        assert target.stdout is not None
        assert target.stdout.readline() == "0opened\n"
        with attached(target.pid, "-p", policy(tmp_path, denied)) as (process, _):
            phase.write_text("1")
            seen: list[str] = []
            while seen.count("1refused\n") < 100:
                seen.append(target.stdout.readline())
            assert "1opened\n" not in seen
            let_go_of(process)
        phase.write_text("2")
        while target.stdout.readline() != "2opened\n":
            assert target.poll() is None


def test_a_blocked_read_is_told_and_made_again(tmp_path: Path) -> None:
    """The target never sees it interrupted, and what comes by it is read; then it is let go of."""
    data, log = tmp_path / "data", tmp_path / "log"
    data.write_text("content\n")
    with running("sh", "-c", READS, "sh", data) as target:
        assert target.stdout is not None
        target.stdout.readline()
        words = ("-p", policy(tmp_path, data), "--log", log)
        with attached(target.pid, *words) as (process, said):
            assert f"enforcer: {target.pid} was in read: made again, and judged then\n" in said
            assert target.stdin is not None
            target.stdin.write("refused\n")
            data_is_known = re.compile(f'"{data}"')
            while not data_is_known.search(log.read_text()):
                assert target.poll() is None
            let_go_of(process)
        assert refusals(log) == [str(data)]
        assert ask(target, "free") == "free content\n"
        assert procfs_field(target.pid, b"TracerPid") == b"0"


def test_a_permissive_supervisor_proposes_rules_when_it_lets_go(tmp_path: Path) -> None:
    """Nothing is refused; what would have been is a rule of its binary's policy."""
    data = tmp_path / "data"
    data.write_text("content\n")
    with running("sh", "-c", READS, "sh", data) as target:
        assert target.stdout is not None
        target.stdout.readline()
        words = ("--permissive", "-p", policy(tmp_path, data))
        with attached(target.pid, *words) as (process, _):
            assert ask(target, "free") == "free content\n"
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            said = process.stderr.read()
            assert process.wait() == 0
    binary = os.path.realpath("/bin/sh")
    assert f"{binary} would be refused; to permit it:\nPolicy: {binary}, " in said
    (rule,) = (line for line in said.splitlines() if line.startswith("    native-"))
    assert f'filename eq "{data}"' in rule


def procfs_field(pid: int, name: bytes) -> bytes:
    """A field of /proc/PID/status."""
    return dict(
        line.split(b":\t", 1)
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines()
        if b":\t" in line
    )[name]


def test_a_call_that_the_tracer_changed_ends_as_the_targets_own(tmp_path: Path) -> None:
    """An open that waits for a writer, by a name of the tracer's in memory of the tracer's."""
    pipe, nothing = tmp_path / "pipe", tmp_path / "nothing"
    os.mkfifo(pipe)
    with running("sh", "-c", READS, "sh", pipe) as target:
        assert target.stdout is not None
        assert target.stdin is not None
        target.stdout.readline()
        with attached(target.pid, "-p", policy(tmp_path, nothing)) as (process, _):
            target.stdin.write("first\n")
            while tree._state(target.pid) != b"S" or b"openat" not in call_of(target.pid):
                assert target.poll() is None
            let_go_of(process)
        pipe.write_text("content\n")
        assert target.stdout.readline() == "first content\n"


def call_of(pid: int) -> bytes:
    """The call that a process sleeps in: here openat, by itself or as openat2."""
    number = Path(f"/proc/{pid}/syscall").read_bytes().split()[0]
    return b"openat" if number in (b"257", b"437", b"56") else number


def test_children_are_judged_and_descriptors_handed_over(tmp_path: Path) -> None:
    """A child from before, the children that it makes now, and an open that no name serves."""
    data, denied, log = tmp_path / "data", tmp_path / "denied", tmp_path / "log"
    data.write_text("content\n")
    denied.write_text("secret\n")
    script = 'while read line; do cat "$2" "$1"; cat /dev/stdin < "$1"; done'
    parent = f'sh -c \'{script}\' sh "$1" "$2"; :'
    with running("sh", "-c", parent, "sh", data, denied) as target:
        assert target.stdout is not None
        words = ("-p", policy(tmp_path, denied), "--log", log)
        while len(tree.processes(target.pid)) < 2:
            assert target.poll() is None
        with attached(target.pid, *words) as (process, said):
            assert "2 processes" in said[-1]
            assert ask(target, "go") == "content\n"
            assert target.stdout.readline() == "content\n"
            let_go_of(process)
    assert refusals(log) == [str(denied)]


@pytest.mark.parametrize(("words", "lives"), [((), True), (("--exitkill",), False)])
def test_the_end_of_the_supervisor(tmp_path: Path, words: tuple[str, ...], lives: bool) -> None:
    """A target whose supervisor is killed runs on unsupervised, or ends where that was asked."""
    data = tmp_path / "data"
    data.write_text("content\n")
    with running("sh", "-c", READS, "sh", data) as target:
        assert target.stdout is not None
        target.stdout.readline()
        with attached(target.pid, "-p", policy(tmp_path, data), *words) as (process, _):
            process.kill()
        if lives:
            assert ask(target, "free") == "free content\n"
        else:
            assert target.wait() == -signal.SIGKILL


@contextmanager
def traced() -> Iterator[int]:
    """A child that this process traces."""
    with running("cat") as target:
        seize(target.pid, 0)
        try:
            yield target.pid
        finally:
            with suppress(TaskGone):
                let_go(target.pid, 0)


def of_another_user() -> str:
    """Why a process of root's is not for others."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        os.write(writes, tree.why_not(os.getppid()).encode())
        os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    with os.fdopen(reads) as pipe:
        return pipe.read()


def test_who_cannot_be_attached_is_told_why(tmp_path: Path) -> None:
    """One line each: gone, ourselves, who began us, traced already, without a policy."""
    ended = subprocess.run(["true"], check=True)  # its number is nobody's
    assert ended.returncode == 0
    with pytest.raises(CannotAttach, match="is gone, or there was none"):
        tree.check(2**22 - 1)
    with pytest.raises(CannotAttach, match="is this command itself"):
        tree.check(os.getpid())
    with pytest.raises(CannotAttach, match="began this command"):
        tree.check(os.getppid())
    with traced() as pid:
        said = subprocess.run(
            [*ENFORCER, "attach", "-p", policy(tmp_path, tmp_path), str(pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 2
        assert said.stderr == f"Error: process {pid} is traced already, by process {os.getpid()}\n"
    other = tmp_path / "other.systrace"
    other.write_text("Policy: /usr/bin/other, Emulation: native\n\tnative-read: permit\n")
    with running("cat") as target:
        said = subprocess.run(
            [*ENFORCER, "attach", "-p", other, str(target.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 2
        assert "for which no policy is" in said.stderr
        assert procfs_field(target.pid, b"TracerPid") == b"0"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_another_users_process_is_told() -> None:
    """As the kernel refuses it."""
    assert of_another_user() == "is user 0's: be that user, or root"


def test_a_process_under_a_filter_is_refused() -> None:
    """Its filter would see other calls than its program makes."""
    script = "import ctypes,sys; ctypes.CDLL(None).prctl(38,1,0,0,0)\n" + (
        "import struct; code=struct.pack('=HBBI',6,0,0,0x7fff0000)\n"
        "b=ctypes.create_string_buffer(code); "
        "p=struct.pack('=H6xQ',1,ctypes.addressof(b)); "
        "assert ctypes.CDLL(None).prctl(22,2,p,0,0)==0; print('ready',flush=True); "
        "sys.stdin.read()"
    )
    with running(sys.executable, "-c", script) as target:
        assert target.stdout is not None
        assert target.stdout.readline() == "ready\n"
        with pytest.raises(CannotAttach, match="is under a seccomp filter"):
            tree.check(target.pid)

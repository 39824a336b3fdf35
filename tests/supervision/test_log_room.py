"""A log without room holds up nobody, and says what is missing from it."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enforcer.events import LOST, EventKind, FileLog
from enforcer.outbox import MOST_BYTES
from harness import process

LINE = 1000


@pytest.fixture(params=["pipe", "socket"])
def pipe(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A reading and a writing end; a socket cannot be opened anew."""
    if request.param == "pipe":
        ends = os.pipe()
    else:
        read, write = socket.socketpair()
        ends = read.detach(), write.detach()
    yield ends
    for end in ends:
        os.close(end)


def _emit(log: FileLog, count: int) -> None:
    for number in range(count):
        log.emit(EventKind.DECISION, number=number, text="x" * LINE)


def test_a_pipe_that_nobody_reads_takes_no_time(pipe: tuple[int, int]) -> None:
    """What it has no room for is kept in its sequence, up to a bound, and then counted."""
    read, write = pipe
    log = FileLog(write)
    log.never_wait()
    count = 3 * MOST_BYTES // LINE
    _emit(log, count)
    os.set_blocking(read, False)
    text = b""
    while True:
        try:
            text += os.read(read, 1 << 16)
        except BlockingIOError:
            log.emit(EventKind.DECISION, number=-1)
            if text.endswith(b"\n") and b'"number": -1' in text:
                break
    events = [json.loads(line) for line in text.splitlines()]
    assert os.get_blocking(write), "the descriptor is others' too"
    missing = [event["events"] for event in events if event.get("reason") == LOST]
    numbers = [event["number"] for event in events if event.get("number", -1) >= 0]
    assert numbers == list(range(len(numbers)))
    assert len(missing) == 1
    assert missing[0] > count // 2
    assert len(numbers) + missing[0] >= count


def test_a_file_that_is_full_ends_nobody(tmp_path: Path) -> None:
    """Nor does the signal that comes with the limit, which a supervisor ignores."""
    place = tmp_path / "log"
    code = (
        "import os, resource, signal, sys\n"
        "from enforcer.events import EventKind, FileLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        f"log = FileLog(os.open({str(place)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND))\n"
        "log.never_wait()\n"
        "for _ in range(2000): log.emit(EventKind.DECISION, text='x' * 1000)\n"
        "print('on')\n"
    )
    assert process.run([sys.executable, "-c", code]).stdout == "on\n"
    assert place.stat().st_size == 8192


POLICY = """
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename sub "secret"
"""

_REFUSED = """
import os
for _ in range(3000):
    try:
        os.open("secret", os.O_RDONLY)
    except PermissionError:
        pass
print(len(os.listdir("/proc/self/fd")) > 0)
"""


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_nobody_waits_for_a_log_that_nobody_reads(mechanism: str, tmp_path: Path) -> None:
    """Thousands of refusals end with the program's own word."""
    policy, log = tmp_path / "policy.yaml", tmp_path / "log"
    policy.write_text(POLICY)
    os.mkfifo(log)
    held = os.open(log, os.O_RDWR)
    words = [sys.executable, "-m", "enforcer", "run", "--backend", mechanism]
    words += ["--policy", str(policy), "--log", str(log), "--"]
    try:
        ran = process.run([*words, sys.executable, "-I", "-S", "-c", _REFUSED], cwd=tmp_path)
    finally:
        os.close(held)
    assert (ran.status, ran.stdout) == (0, "True\n"), ran.stderr


def test_a_limit_on_the_commands_files_is_none_on_the_log(tmp_path: Path) -> None:
    """As far as the supervisor may raise it; the command keeps its own."""
    policy, log = tmp_path / "policy.yaml", tmp_path / "log"
    policy.write_text(POLICY)
    words = [
        "sh",
        "-c",
        'ulimit -S -f 16; exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "enforcer",
        "run",
    ]
    words += ["-b", "notify", "-p", str(policy), "--log", str(log), "--"]
    code = f"import resource\n{_REFUSED.replace('3000', '100')}\nprint(resource.getrlimit(1)[0])"
    ran = process.run([*words, sys.executable, "-I", "-S", "-c", code], cwd=tmp_path)
    assert ran.stdout.split()[-1] in ("8192", "16384"), ran.stderr
    assert log.stat().st_size > 16384

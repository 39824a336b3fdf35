"""What becomes of targets whose tracer dies or stops at a random instant."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
from pathlib import Path

import pytest

from harness import process

POLICY = """\
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename sub "sentinel"
  - permit: [fsread, fswrite]
    when: filename match "/*"
  - deny[eacces]: [fsread, fswrite]
"""

TARGET = """\
import os, sys, threading
def work():
    beat = os.open(sys.argv[1], os.O_WRONLY)
    while True:
        try:
            open("sentinel").close()
            os.mkdir("reached")
        except OSError:
            pass
        open("judged", "a").close()
        os.write(beat, b".")
def fork():
    while True:
        pid = os.fork()
        if not pid:
            os.execv("/bin/true", ["true"])
        os.waitpid(pid, 0)
held = os.open(sys.argv[1], os.O_WRONLY)
os.set_inheritable(held, True)
threading.Thread(target=work).start()
fork()
"""
"""A beat after every judged call. All tasks hold the pipe open as long as they live."""

DEATHS = int(os.environ.get("TRACER_DEATHS", "6"))
"""How many random instants are tried."""

MOST_BEATS = 40
"""The instant is a random number of beats after the first."""

SILENCE_MS = 500
LIMIT_MS = 60_000
_PIPE_BYTES = 1 << 16


class Beats:
    """The reading end of the pipe that a target beats into."""

    def __init__(self, pipe: Path) -> None:
        os.mkfifo(pipe)
        self.end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self._poller = select.poll()
        self._poller.register(self.end, select.POLLIN)

    def read(self, limit_ms: int, most: int = _PIPE_BYTES) -> bytes | None:
        """The next beats, empty at the end of all tasks; None when nothing comes."""
        return os.read(self.end, most) if self._poller.poll(limit_ms) else None

    def fall_silent(self) -> bool:
        """Whether beats cease after those under way, of which there are not so many."""
        return any(self.read(SILENCE_MS, 1) is None for _ in range(_PIPE_BYTES))

    def count(self, wanted: int) -> None:
        """Return after so many beats."""
        for _ in range(wanted):
            beat = self.read(LIMIT_MS, 1)
            assert beat is not None, "the target does not beat"
            assert beat, "the target ended before its tracer did"


def _tracer(log: Path) -> int:
    events = map(json.loads, log.read_text().splitlines())
    return next(int(event["tracer"]) for event in events if event["event"] == "enforcing")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
def test_nothing_survives_the_tracer(number: signal.Signals, tmp_path: Path) -> None:
    """Killed at any instant it takes every task with it; stopped, no judged call goes through."""
    (tmp_path / "sentinel").write_text("secret")
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    for attempt in range(DEATHS):
        pipe, log = tmp_path / f"pipe-{attempt}", tmp_path / f"events-{attempt}.jsonl"
        beats = Beats(pipe)
        words = [sys.executable, "-m", "enforcer", "run", "--backend", "ptrace"]
        words += ["--policy", str(policy), "--log", str(log), "--"]
        command = [*words, sys.executable, "-c", TARGET, str(pipe)]
        target = process.start(
            ["/usr/bin/env", "--chdir", str(tmp_path), *command],
            tmp_path / "stdout",
            tmp_path / "stderr",
        )
        try:
            beats.count(1 + random.randrange(MOST_BEATS))
            tracer = _tracer(log)
            os.kill(tracer, number)
            if number is signal.SIGSTOP:
                assert beats.fall_silent(), "judged calls go through"
                assert target.poll() is None
                os.kill(tracer, signal.SIGKILL)
            rest: bytes | None = b"."
            while rest:
                rest = beats.read(LIMIT_MS)
            assert rest == b"", "a task outlives its tracer"
            assert not (tmp_path / "reached").exists()
        finally:
            process.stop(target)
            os.close(beats.end)

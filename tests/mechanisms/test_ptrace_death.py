"""What becomes of targets whose tracer dies or stops."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
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
    while True:
        try:
            open("sentinel").close()
            os.mkdir("reached")
        except OSError:
            pass
        open("beat", "a").close()
def fork():
    while True:
        pid = os.fork()
        if not pid:
            os.execv("/bin/true", ["true", sys.argv[1]])
        os.waitpid(pid, 0)
threading.Thread(target=work).start()
fork()
"""


DEATHS = int(os.environ.get("TRACER_DEATHS", "6"))
"""How many random instants are tried."""


def _within(limit_s: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


def _alive(marker: str) -> list[int]:
    """Live processes with `marker` on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _nobody(marker: str) -> bool:
    return not _alive(marker)


def _tracer(log: Path) -> int | None:
    if not log.exists():
        return None
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "enforcing":
            return int(event["tracer"])
    return None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
def test_nothing_survives_the_tracer(number: signal.Signals, tmp_path: Path) -> None:
    """Killed at any instant it takes every task with it; stopped, no judged call goes through."""
    (tmp_path / "sentinel").write_text("secret")
    policy, log = tmp_path / "policy.yaml", tmp_path / "events.jsonl"
    policy.write_text(POLICY)
    for attempt in range(DEATHS):
        log.unlink(missing_ok=True)
        marker = f"marker-{os.getpid()}-{tmp_path.name}-{attempt}"
        words = [sys.executable, "-m", "enforcer", "run", "--partial", "--backend", "ptrace"]
        words += ["--policy", str(policy), "--log", str(log), "--"]
        command = [*words, sys.executable, "-c", TARGET, marker]
        target = process.start(
            ["/usr/bin/env", "--chdir", str(tmp_path), *command],
            tmp_path / "stdout",
            tmp_path / "stderr",
        )
        try:
            assert _within(20, lambda: _tracer(log) is not None), (tmp_path / "stderr").read_text()
            tracer = _tracer(log)
            assert tracer is not None
            assert _within(20, (tmp_path / "beat").exists)
            time.sleep(random.random() / 5)
            os.kill(tracer, number)
            if number is signal.SIGSTOP:
                time.sleep(0.1)
                (tmp_path / "beat").unlink(missing_ok=True)
                assert not _within(0.3, (tmp_path / "beat").exists)
                os.kill(tracer, signal.SIGKILL)
            assert _within(1, functools.partial(_nobody, marker)), _alive(marker)
            assert not (tmp_path / "reached").exists()
        finally:
            process.stop(target)
        (tmp_path / "beat").unlink(missing_ok=True)

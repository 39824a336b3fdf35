"""What a supervisor's death or stop, at any instant from its birth on, lets a target reach."""

from __future__ import annotations

import os
import random
import secrets
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import process

DEATHS = int(os.environ.get("SUPERVISOR_DEATHS", "3"))
"""Instants tried for each mechanism, signal and phase."""

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
            os.write(1, os.read(os.open("sentinel", os.O_RDONLY), 100))
        except OSError:
            os.write(1, b".")
def fork():
    while True:
        pid = os.fork()
        if not pid:
            try:
                os.execv("/bin/true", ["true", sys.argv[1]])
            finally:
                os._exit(1)
        os.waitpid(pid, 0)
threading.Thread(target=work).start()
fork()
"""
"""Two loops: denied opens, told by a dot or the sentinel's content, and births with executions."""

MOST_LAUNCH_S = 0.4
"""About what a launch takes: the instants of the first phase lie within it."""


class Sandbox:
    """One enforced target, to whose supervisor something is going to happen."""

    def __init__(self, mechanism: str, directory: Path) -> None:
        self.marker = f"marker-{secrets.token_hex(8)}"
        self.content = secrets.token_hex(16)
        self.output = directory / "stdout"
        self.errors = directory / "stderr"
        (directory / "sentinel").write_text(self.content)
        policy = directory / "policy.yaml"
        policy.write_text(POLICY)
        words = [sys.executable, "-m", "enforcer", "run", "--partial", "--backend", mechanism]
        words += ["--policy", str(policy), "--", sys.executable, "-c", TARGET, self.marker]
        self.target = process.start(
            ["/usr/bin/env", "--chdir", str(directory), *words], self.output, self.errors
        )

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exception: object) -> None:
        process.stop(self.target)
        for pid in self.alive():
            process.kill(pid)

    def alive(self) -> list[int]:
        """Everything that was started here and lives, zombies apart."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self.marker.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def supervisor(self) -> int | None:
        """The detached process that leads a group of its own, from its first instant on."""
        for pid in self.alive():
            try:
                if pid != self.target.pid and os.getpgid(pid) == pid:
                    return pid
            except ProcessLookupError:
                continue
        return None

    def dots(self) -> int:
        return self.output.read_bytes().count(b".")

    def is_over(self) -> bool:
        return self.target.poll() is not None


def _wait(limit_s: float, condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true within the time; it is asked for every millisecond."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        select.select([], [], [], 0.001)
    return True


def _second_of_an_idle_machine_s() -> float:
    """A second, as many times longer as there are programs for each processor."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.parametrize("phase", ["launch", "work"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_death_of_the_supervisor_reaches_nothing(
    mechanism: str, number: signal.Signals, phase: str, tmp_path: Path
) -> None:
    """Killed or stopped at any instant: no denied read succeeds.

    A traced target ends within a second; one of notify goes on, confined, or was never started.
    """
    for _ in range(DEATHS):
        with Sandbox(mechanism, tmp_path) as sandbox:
            _die_once(sandbox, mechanism, number, phase)


def _die_once(sandbox: Sandbox, mechanism: str, number: signal.Signals, phase: str) -> None:
    assert _wait(30, lambda: sandbox.supervisor() is not None), sandbox.errors.read_text()
    if phase == "work":
        assert _wait(30, lambda: sandbox.dots() > 3), sandbox.errors.read_text()
    instant = time.monotonic() + random.random() * MOST_LAUNCH_S
    _wait(1, lambda: time.monotonic() > instant)
    # The process between, which leads a group for a moment as well, may have been seen before.
    assert _wait(30, lambda: sandbox.supervisor() is not None), sandbox.errors.read_text()
    supervisor = sandbox.supervisor()
    assert supervisor is not None, sandbox.errors.read_text()
    os.kill(supervisor, number)
    if number is signal.SIGSTOP:
        before = sandbox.dots()
        _wait(0.2, lambda: sandbox.dots() > before + 5)
        process.kill(supervisor)
    if mechanism == "ptrace":
        assert _wait(_second_of_an_idle_machine_s(), lambda: not sandbox.alive()), sandbox.alive()
    else:
        after = sandbox.dots()
        assert _wait(30, lambda: sandbox.is_over() or sandbox.dots() > after + 50)
    assert sandbox.content.encode() not in sandbox.output.read_bytes()


def test_the_same_target_unsupervised_reads_the_sentinel(tmp_path: Path) -> None:
    """The control: without enforcement the content is there at once."""
    with Sandbox("none", tmp_path) as sandbox:
        told = sandbox.content.encode()
        assert _wait(30, lambda: told in sandbox.output.read_bytes()), sandbox.errors.read_text()

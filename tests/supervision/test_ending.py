"""Whoever ends a supervisor ends its run, whatever was inherited and whatever a target does."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from enforcer.kernel import procfs
from enforcer.kernel.pidfd import pidfd_open
from enforcer.pin.channel import Answer, Deputed
from enforcer.pin.deputy import Deputy, links_of
from enforcer.pin.identity import parse_identity
from harness import process

POLICY = """
default: permit
rules:
  - deny: [fsread, fswrite]
    when: filename sub "secret"
"""

_TARGET = """
trap '' TERM INT HUP
sleep 100 &
(sleep 100 & setsid sleep 100 &)
echo ready
wait
"""

_DEAF = """
import os, signal, sys
number = int(sys.argv.pop(1))
if number == signal.SIGTERM:
    signal.signal(number, signal.SIG_IGN)
else:
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
os.execv(sys.executable, [sys.executable, "-m", "enforcer", "run", *sys.argv[1:]])
"""

_LONGEST_S = 30


@pytest.mark.parametrize(
    ("backend", "number"),
    [
        pytest.param("ptrace", signal.SIGTERM, id="ptrace-terminate"),
        pytest.param("ptrace", signal.SIGHUP, id="ptrace-hang-up"),
        pytest.param("notify", signal.SIGTERM, id="notify-terminate"),
        pytest.param("notify", signal.SIGINT, id="notify-interrupt"),
    ],
)
def test_no_run_outlives_its_supervisor_s_end(
    backend: str, number: signal.Signals, tmp_path: Path
) -> None:
    """Also where its launcher ignored the signal (`trap ''`) or blocked it: processes of other
    sessions and without parents end too, and the log says by what."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    log = tmp_path / "log"
    words = ["--backend", backend, "--policy", str(tmp_path / "policy.yaml"), "--log", str(log)]
    command = [sys.executable, "-c", _DEAF, str(int(number)), *words, "--", "sh", "-c", _TARGET]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as launched:
        assert launched.stdout is not None
        try:
            assert launched.stdout.readline() == b"ready\n"
            os.kill(_supervisor(log), number)
            assert select.select([launched.stdout], [], [], _LONGEST_S)[0]
            assert launched.stdout.read() == b""  # nobody holds it any more
        finally:
            process.kill_group(launched.pid)
    assert launched.returncode == -signal.SIGKILL
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["event"], last["signal"], last["action"]) == ("end", number.name, "kill")


def _supervisor(log: Path) -> int:
    events = [json.loads(line) for line in log.read_text().splitlines()]
    found = next(event for event in events if event["event"] == "enforcing")
    return int(found.get("tracer") or found["supervisor"])


def _wait_for_a_writer(deputed: Deputed, name: str) -> Answer:
    deputed.ask("begins", os.getpid())
    return os.open(name, os.O_RDONLY), ()


def test_a_deputy_that_waits_ends_with_its_supervisor(tmp_path: Path) -> None:
    """A FIFO that nobody writes keeps no process of a supervisor's that was killed."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading, writing = os.pipe()

    def begins(pid: int) -> Answer:
        os.write(writing, str(pid).encode())
        return None, ()

    def supervise() -> int:
        fields = procfs.status_fields(procfs.read(os.getpid(), "status"))
        own = parse_identity(fields, "user:[1]", links_of(os.getpid()))
        deputy = Deputy(os.getpid(), own, own, is_real=False)
        deputy.do(_wait_for_a_writer, (str(fifo),), (), {"begins": begins})
        return 0

    supervisor = process.fork(supervise)
    os.close(writing)
    end = pidfd_open(int(os.read(reading, 16)))
    try:
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)
        assert select.select([end], [], [], _LONGEST_S)[0]
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(end, signal.SIGKILL)
        for descriptor in (end, reading):
            os.close(descriptor)

"""A campaign that is interrupted in the midst of a run leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from harness import process
from harness.fuzz.cell import unavailable

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available")
PATIENCE_S = 180.0


def marked(marker: str) -> list[int]:
    """Processes that were started with this text in their environment."""
    found = []
    for each in Path("/proc").iterdir():
        try:
            if each.name.isdecimal() and marker.encode() in (each / "environ").read_bytes():
                found.append(int(each.name))
        except OSError:
            continue
    return found


def is_target(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "tasks\n"
    except OSError:
        return False


def wait_for_end(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = select.select([pidfd], [], [], PATIENCE_S)[0]
    os.close(pidfd)
    assert ended, f"process {pid} lives on"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("stateful", signal.SIGINT),
        ("stateful", signal.SIGTERM),
        ("stateful", signal.SIGKILL),
        ("live", signal.SIGKILL),
    ],
)
def test_nothing_is_left(name: str, number: signal.Signals, tmp_path: Path) -> None:
    """No process, no file, no mount, whatever ends the fuzzer while a target runs."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # Not in our own environment: tempfile reads TMPDIR once, and later tests would keep it.
    places = [f"XDG_STATE_HOME={tmp_path / 'state'}", f"TMPDIR={scratch}"]
    mounts = Path("/proc/self/mountinfo").read_text()
    # What started the tests may ignore interruptions, as a shell does for its background.
    command = [
        "env",
        "--default-signal=INT",
        *places,
        sys.executable,
        "-m",
        "harness",
        "fuzz",
        name,
        "--time",
        "300s",
    ]
    fuzzer = process.start(command, tmp_path / "out", tmp_path / "err")
    marker = f"TMPDIR={scratch}"
    try:
        own = os.pidfd_open(fuzzer.pid)
        deadline = time.monotonic() + PATIENCE_S
        while not any(map(is_target, family := marked(marker))):
            assert not select.select([own], [], [], 0.02)[0], (tmp_path / "err").read_text()
            assert time.monotonic() < deadline
        os.kill(fuzzer.pid, number)
        assert select.select([own], [], [], PATIENCE_S)[0]
        os.close(own)
        fuzzer.wait()
        for pid in family:
            wait_for_end(pid)
        for pid in marked(marker):
            wait_for_end(pid)
        assert marked(marker) == []
    finally:
        process.stop(fuzzer)
    assert list(scratch.iterdir()) == []
    assert Path("/proc/self/mountinfo").read_text() == mounts

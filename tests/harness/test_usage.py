"""What a run uses together: memory of all its processes, the machine's, and disk."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.model import Limits
from harness.places import usage
from harness.places.usage import (
    EVERY_S,
    Meter,
    below,
    machine_is_full,
    resident,
    stored,
    until_next,
)
from harness.process import fork, kill, wait

SIZE = 8 << 20


def holding(write_end: int, bytes_: int, then: Callable[[], object]) -> Callable[[], int]:
    """A body that fills memory of its own, says so, and waits."""

    def body() -> int:
        memory = mmap.mmap(-1, bytes_)
        memory.write(b"x" * bytes_)
        then()
        os.write(write_end, b"x")
        while True:
            os.read(os.pipe()[0], 1)

    return body


def held_by(pid: int) -> int:
    """Bytes of one process alone: VmRSS, in kB."""
    (line,) = re.findall(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(line) * 1024


def test_memory_of_all_processes_counts() -> None:
    """Of children and of theirs, not our own."""
    read_end, write_end = os.pipe()
    before = resident()
    inner = holding(write_end, SIZE, lambda: None)
    pid = fork(holding(write_end, SIZE, lambda: fork(inner)))
    for _ in range(2):
        os.read(read_end, 1)
    (inner_pid,) = below(pid)
    used = resident()
    excess = [Meter(limits=Limits(memory_bytes=limit)).excess() for limit in (used // 2, used * 2)]
    found = set(below(os.getpid()))
    alone = [held_by(each) for each in (pid, inner_pid)]
    kill(inner_pid)
    kill(pid)
    wait(pid)
    os.close(read_end)
    os.close(write_end)
    assert {pid, inner_pid} <= found
    assert used - before >= max(2 * SIZE, max(alone) + min(alone) // 2)
    assert excess == ["it used more memory than its limit", ""]


@pytest.mark.parametrize(("available", "full"), [(19, True), (20, False), (21, False)])
def test_a_full_machine(available: int, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a fiftieth of its memory is available, whoever has the rest."""
    text = (
        f"MemTotal:    1000 kB\nMemFree: 0 kB\nMemAvailable: {available} kB\nHugePages_Total: 0\n"
    )
    read = Path.read_text

    def read_text(path: Path) -> str:
        return text if path == Path("/proc/meminfo") else read(path)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert machine_is_full() is full
    said = Meter(limits=Limits()).excess()
    assert said == ("the machine has hardly any memory left" if full else "")


def test_disk_counts_at_any_depth(tmp_path: Path) -> None:
    """Blocks, as the file system counts them: a hole is none, and a link is not followed."""
    top, outside = tmp_path / "top", tmp_path / "outside"
    (top / "deep/er").mkdir(parents=True)
    assert stored(top) == 0
    for path, size in ((top / "deep/er/file", 1 << 20), (outside, 4 << 20)):
        with path.open("wb") as stream:
            stream.write(os.urandom(size))
            stream.truncate(1 << 30)
            os.fsync(stream)
    (top / "link").symlink_to(outside)
    assert 1 << 20 <= stored(top) < 2 << 20
    limits = Limits(scratch_bytes=1 << 19)
    assert Meter(limits=limits, scratch=top).excess() == "it wrote more than its limit of disk"
    assert Meter(limits=limits).excess() == ""
    assert usage.BLOCK == 512


@pytest.mark.parametrize(
    ("took_s", "wait_s"), [(0.0, EVERY_S), (EVERY_S / 20, EVERY_S), (0.5, 4.5), (2.0, 18.0)]
)
def test_looking_is_a_tenth_of_a_run(took_s: float, wait_s: float) -> None:
    """Where a look takes long, as under emulation, the next one waits; nowhere it comes sooner."""
    assert until_next(took_s) == pytest.approx(wait_s)

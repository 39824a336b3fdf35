"""How many machines this one carries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.vm.capacity import crowding, free_mib, machines_at_once, processors


@pytest.mark.parametrize(
    ("each", "wanted", "free", "expected"),
    [
        pytest.param(384, 4, 23_000, 4, id="as many as wanted"),
        pytest.param(384, 8, 512 + 3 * 384, 3, id="as memory allows"),
        pytest.param(384, 8, 100, 1, id="never none"),
    ],
)
def test_memory_bounds_machines(each: int, wanted: int, free: int, expected: int) -> None:
    """With something left for the rest."""
    assert machines_at_once(each, wanted, free) == expected


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """/proc and /sys/fs/cgroup of a machine with 8 GiB free, we two groups deep."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable:    8388608 kB\n")
    (proc / "self" / "cgroup").write_text("0::/box/job\n")
    (cgroups / "box" / "job").mkdir(parents=True)
    return proc, cgroups


def test_without_limits_the_kernels_estimate_counts(machine: tuple[Path, Path]) -> None:
    """`max` is no limit, and the root group has no such file."""
    proc, cgroups = machine
    (cgroups / "box" / "memory.max").write_text("max\n")
    assert free_mib(proc, cgroups) == 8192


def test_the_tightest_group_counts(machine: tuple[Path, Path]) -> None:
    """Above us too; file caches can be given back."""
    proc, cgroups = machine
    for name, value in (
        ("memory.max", f"{2 << 30}\n"),
        ("memory.current", f"{1 << 30}\n"),
        ("memory.stat", f"anon 5\ninactive_file {256 << 20}\n"),
    ):
        (cgroups / "box" / name).write_text(value)
    assert free_mib(proc, cgroups) == 1280


def test_a_quota_bounds_processors(machine: tuple[Path, Path]) -> None:
    """One and a half are two; no more than the affinity gives."""
    proc, cgroups = machine
    assert processors(proc, cgroups) == len(os.sched_getaffinity(0))
    (cgroups / "box" / "job" / "cpu.max").write_text("50000 100000\n")
    assert processors(proc, cgroups) == 1


@pytest.mark.parametrize(
    ("load", "expected"),
    [pytest.param(0.5, 1.0, id="idle"), pytest.param(12.0, 3.0, id="three for each")],
)
def test_other_work_stretches_time(
    load: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the load of each processor, and never shortens it."""
    monkeypatch.setattr("harness.vm.capacity.processors", lambda: 4)
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert crowding() == expected

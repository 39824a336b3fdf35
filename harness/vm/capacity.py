"""How many machines this one carries at once: by its free memory and processors."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20
SPARE_MIB = 512  # what the rest of the machine keeps


def machines_at_once(each_mib: int, wanted: int, free_mib: int) -> int:
    """At most `wanted` machines of `each_mib` in `free_mib`, but never less than one."""
    return max(1, min(wanted, (free_mib - SPARE_MIB) // each_mib))


def free_mib(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The memory that can be had without swapping, in MiB: the kernel's estimate, or what is left
    below the tightest limit of our control groups (version 2), file caches not counted as used.
    """
    text = (proc / "meminfo").read_text(encoding="ascii")
    left = [1024 * int(line.split()[1]) for line in text.splitlines() if "MemAvailable" in line]
    for group in _groups(proc, cgroups):
        limit = _word(group / "memory.max")
        if limit.isdecimal():
            used = int(_word(group / "memory.current") or 0)
            cached = dict(
                line.split() for line in _text(group / "memory.stat").splitlines() if line
            ).get("inactive_file", "0")
            left.append(int(limit) - used + int(cached))
    return max(0, min(left)) // MIB


def processors(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The processors that this process may use: its affinity, or its control groups' quota."""
    found = [len(os.sched_getaffinity(0))]
    for group in _groups(proc, cgroups):
        quota, _, period = _text(group / "cpu.max").strip().partition(" ")
        if quota.isdecimal():
            found.append(math.ceil(int(quota) / int(period)))
    return max(1, min(found))


def crowding() -> float:
    """How much longer a machine takes because of other work; 1.0 when there is none."""
    return max(1.0, os.getloadavg()[0] / processors())


def _groups(proc: Path, cgroups: Path) -> Iterator[Path]:
    """Our control group and those above it (`0::/path` in /proc/self/cgroup)."""
    for line in _text(proc / "self" / "cgroup").splitlines():
        if line.startswith("0::"):
            own = cgroups / line.removeprefix("0::").lstrip("/")
            yield own
            yield from (above for above in own.parents if above.is_relative_to(cgroups))


def _text(path: Path) -> str:
    """A file's content, empty where there is none: the root group has no limits."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _word(path: Path) -> str:
    return _text(path).strip()

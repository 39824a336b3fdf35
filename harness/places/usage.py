"""What a run uses of its machine's memory and disk, so that it can be ended before others suffer.

Resource limits count each process by itself; this counts them together. Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from enforcer.kernel import procfs
from harness.model import Limits

EVERY_S = 0.1
BETWEEN = 9  # times what a look took: under emulation that is a long time
PAGE = os.sysconf("SC_PAGE_SIZE")
RESERVE = 50  # one part in so many of the machine's memory stays free
BLOCK = 512  # the unit of st_blocks


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Looks at the processes below the calling one; at `scratch` unless it limits itself."""

    limits: Limits
    scratch: Path | None = None

    def excess(self) -> str:
        """What the run uses too much of, as the end of a sentence; empty if nothing."""
        if resident() > self.limits.memory_bytes:
            return "it used more memory than its limit"
        if machine_is_full():
            return "the machine has hardly any memory left"
        if self.scratch is not None and stored(self.scratch) > self.limits.scratch_bytes:
            return "it wrote more than its limit of disk"
        return ""


def until_next(took_s: float) -> float:
    """Seconds between a look that took so long and the next: a tenth of a run is enough."""
    return max(EVERY_S, BETWEEN * took_s)


def resident() -> int:
    """Bytes of memory in all processes below the calling one; shared pages count for each."""
    total = 0
    for pid in below(os.getpid()):
        try:
            total += int(procfs.read(pid, "statm").split()[1]) * PAGE
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def below(pid: int) -> Iterator[int]:
    """Every living process below `pid`."""
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in procfs.read(pid, f"task/{thread.name}/children").split():
                yield int(child)
                yield from below(int(child))
    except (FileNotFoundError, ProcessLookupError):
        return


def machine_is_full() -> bool:
    """Whether less than the reserve is available: what no process's own pages show (memfd)."""
    sizes = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available, total = (int(sizes[key].split()[0]) for key in ("MemAvailable", "MemTotal"))
    return available * RESERVE < total


def stored(top: Path) -> int:
    """Bytes on disk below a directory."""
    total = 0
    for directory, _, files in os.walk(top):
        for name in files:
            try:
                total += Path(directory, name).lstat().st_blocks * BLOCK
            except OSError:
                continue  # gone, or closed to us by the target
    return total

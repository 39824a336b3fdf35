"""Processes as `enforcer status` shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from enforcer.kernel import procfs

_STARTTIME = 19  # of the fields behind the name (proc(5))


def shown(pids: Iterable[int]) -> list[dict[str, object]]:
    """Number, parent and program of those that still live."""
    found: list[dict[str, object]] = []
    for pid in sorted(pids):
        with suppress(OSError):
            fields = procfs.status_fields(procfs.read(pid, "status"))
            program = os.readlink(f"{pid}/exe", dir_fd=procfs.root())
            found.append({"pid": pid, "ppid": int(fields[b"PPid"]), "program": program})
    return found


def descendants(*tids: int) -> set[int]:
    """The processes of these tasks and those that they or their children made, as far as their
    parents still live.
    """
    found = {_process(tid) for tid in tids}
    pending = list(found)
    while pending:
        parent = pending.pop()
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 (only names)
                children = {
                    int(each) for each in procfs.read(parent, f"task/{task}/children").split()
                }
                pending += children - found
                found |= children
    return found


def by_age(pids: Iterable[int]) -> list[int]:
    """Those that still live, who began first before the others. Numbers do not tell: behind
    pid_max they begin anew, so that a child may have a smaller one than its parent.
    """
    begun: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError):
            begun[pid] = int(procfs.stat_fields(procfs.read(pid, "stat"))[_STARTTIME])
    return sorted(begun, key=lambda pid: (begun[pid], pid))


def _process(tid: int) -> int:
    try:
        return int(procfs.status_fields(procfs.read(tid, "status"))[b"Tgid"])
    except OSError:
        return tid

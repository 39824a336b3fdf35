"""Ending every process of a run, also those that were left without a parent.

Standard library only: this also runs inside guests.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Container
from pathlib import Path

from enforcer.kernel import procfs
from harness.places.usage import below
from harness.process import kill


def children() -> frozenset[int]:
    """Pids of the calling process's children, those that ended and are not reaped as well."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        # A thread may end while we look.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            told = procfs.read(os.getpid(), f"task/{thread.name}/children")
            found |= set(map(int, told.split()))
    return frozenset(found)


def end_all(known: Container[int] = ()) -> dict[int, int]:
    """Kill and reap the caller's children but `known`, and all that they leave to the caller.

    As init of a pid namespace: all other processes. Elsewhere the caller must be the reaper of its
    orphans (PR_SET_CHILD_SUBREAPER). The wait status of each process that was reaped.
    """
    ended: dict[int, int] = {}
    if os.getpid() != 1:
        _stop_all(known)
    while found := [pid for pid in children() if pid not in known]:
        # Not the children alone: one that is traced by another cannot be reaped before that ends.
        for pid in [-1] if os.getpid() == 1 else _strangers(known):
            kill(pid)
        for pid in found:
            # None but ours: somebody else may be waiting for the known ones.
            with contextlib.suppress(ChildProcessError):
                ended[pid] = os.waitpid(pid, 0)[1]
    return ended


def _stop_all(known: Container[int]) -> None:
    """Where no namespace ends them together: stopped first, that none forks while others die."""
    stopped: set[int] = set()
    while new := {pid for pid in _strangers(known) if pid not in stopped}:
        for pid in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        stopped |= new


def _strangers(known: Container[int]) -> set[int]:
    first = {pid for pid in children() if pid not in known}
    return first.union(*(below(pid) for pid in first))

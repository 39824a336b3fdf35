"""Which number a task has in a procfs: its own pid namespace's, an outer one's, or none."""

from __future__ import annotations

import os

import pytest

from enforcer.kernel import procfs
from enforcer.pin import View
from enforcer.pin.ourselves import hides
from enforcer.pin.task_links import number_on


def test_a_task_has_its_number_in_the_procfs_of_its_namespace() -> None:
    """Process and thread, as /proc shows them."""
    pid = os.getpid()
    assert View(pid, pid).number_on(procfs.root()) == (pid, pid)


def test_another_process_of_the_same_number_is_not_the_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every pid namespace has a process 1: equal numbers are not enough, the namespace decides."""
    pid = os.getpid()
    number = b"%d" % pid
    assert number_on(procfs.root(), pid, [number], [number]) == (pid, pid)
    monkeypatch.setattr("enforcer.pin.task_links.namespace_of", lambda tid, kind: "pid:[1]")
    assert number_on(procfs.root(), pid, [number], [number]) is None


def test_deputies_are_hidden_like_their_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What procfs shows of a deputy to itself is for no target: it acts with a target's rights."""
    pid = os.getppid()
    view = View(os.getpid(), os.getpid(), fixed_root=True)
    fd = os.open(f"/proc/{pid}/maps", os.O_PATH)
    try:
        assert not hides(view, fd)
        monkeypatch.setattr("enforcer.pin.ourselves.pids", {pid})
        assert hides(view, fd)
    finally:
        os.close(fd)

"""What is kept of a task ends with the task, with its calls on credentials, with its execution."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from enforcer.pin import KeptView, View
from enforcer.pin.standing import Standing, Standings
from harness.process import fork, wait


class Asked:
    """Gives a standing that tells how often it was asked for."""

    def __init__(self) -> None:
        self.times = 0
        self.standing = View(os.getpid(), os.getpid()).standing()

    def __call__(self) -> Standing:
        self.times += 1
        return self.standing._replace(tgid=self.times)


@contextmanager
def a_child() -> Iterator[int]:
    """The number of a process that ends with the block."""
    end, begin = os.pipe()

    def child() -> int:
        os.close(begin)
        return len(os.read(end, 1))

    pid = fork(child)
    os.close(end)
    try:
        yield pid
    finally:
        os.close(begin)
        wait(pid)


def test_a_standing_is_asked_for_once() -> None:
    """A task that does nothing to change it is not asked again."""
    standings, ask = Standings(), Asked()
    with a_child() as pid:
        for _ in range(3):
            assert standings.of(pid, ask, is_changing=False).tgid == 1
    assert ask.times == 1


def test_a_number_without_its_task_means_another() -> None:
    """When the task has been reaped its number says nothing any more."""
    standings, ask = Standings(), Asked()
    with a_child() as pid:
        standings.of(pid, ask, is_changing=False)
    assert standings.of(pid, ask, is_changing=False).tgid == 2


def test_a_call_that_changes_it_is_never_kept_before() -> None:
    """What is asked while the call is held is over when the call has been made."""
    standings, ask = Standings(), Asked()
    with a_child() as pid:
        standings.of(pid, ask, is_changing=False)
        standings.forget(pid)
        assert standings.of(pid, ask, is_changing=True).tgid == 2
        assert standings.of(pid, ask, is_changing=False).tgid == 3
        assert standings.of(pid, ask, is_changing=False).tgid == 3


def test_a_leader_that_a_thread_took_over_from_is_always_asked() -> None:
    """The leader may be asked about between a thread's execve and its taking effect."""
    standings, ask = Standings(), Asked()
    with a_child() as pid:
        standings.of(pid, ask, is_changing=False)
        standings.executes(pid + 1, pid)
        for times in (2, 3):
            assert standings.of(pid, ask, is_changing=False).tgid == times


def test_a_thread_belongs_to_its_process() -> None:
    """The standing of a thread names the process, and is kept like any other."""
    ready, end = threading.Event(), threading.Event()
    numbers: list[int] = []

    def body() -> None:
        numbers.append(threading.get_native_id())
        ready.set()
        end.wait()

    thread = threading.Thread(target=body)
    thread.start()
    ready.wait()
    try:
        view = KeptView(numbers[0], 0)
        assert view.standing().tgid == os.getpid()
        assert view.standing() is view.standing()
        before = view.standing()
        view.forget()
        assert view.standing() is not before
    finally:
        end.set()
        thread.join()

"""Work in a child: its answer comes back, and what never returns is ended."""

from __future__ import annotations

import os
import signal

import pytest

from harness.fuzz.aside import Endless, aside


def test_the_answer_comes_back() -> None:
    """As it was, from another process."""
    assert aside(lambda: {"pid": [1, b"\0" * 100_000]}, cpu_seconds=10) == {
        "pid": [1, b"\0" * 100_000]
    }
    assert aside(os.getpid, cpu_seconds=10) != os.getpid()


def test_work_without_end_is_ended() -> None:
    """By its processor time, so that a busy machine makes nothing endless."""

    def work() -> None:
        while True:
            pass

    with pytest.raises(Endless, match="1 s"):
        aside(work, cpu_seconds=1)


def test_a_crash_is_not_taken_for_an_answer() -> None:
    """Nor for work without end."""
    with pytest.raises(ChildProcessError, match="-15"):
        aside(lambda: os.kill(os.getpid(), signal.SIGTERM), cpu_seconds=10)

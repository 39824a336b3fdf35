"""Who is held up by its target, and who only waits for a processor."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import cast

import pytest

from enforcer.mechanisms.ptrace import watch
from enforcer.mechanisms.ptrace.sandbox import Sandbox
from enforcer.mechanisms.ptrace.watch import Watch

LOOKS = 5


class _Stop:
    """A tracer at one and the same stop."""

    handled = 7
    call = "openat"
    is_waiting = False
    at_hand = 4711

    def __init__(self) -> None:
        self.ended: list[str] = []

    def kill(self, tid: int) -> None:
        self.ended.append(f"killed {tid}")

    def kill_all(self) -> None:
        self.ended.append("killed")

    def detected(self, reason: str, **_: object) -> None:
        self.ended.append(reason)

    @property
    def journal(self) -> _Stop:
        return self


class _Looks:
    """So many looks, without waiting between them."""

    def __init__(self) -> None:
        self.left = LOOKS

    def wait(self, _: float) -> bool:
        self.left -= 1
        return self.left < 0


def _watch(tracer: _Stop) -> Watch:
    watching = Watch(cast("Sandbox", tracer))
    watching.over = cast("threading.Event", _Looks())
    return watching


def test_a_blocked_tracer_ends_what_blocks_it() -> None:
    """A thread that waits for memory that never comes (here for a pipe) is held up: first the
    process at hand ends, and when that does not help the sandbox."""
    read, write = os.pipe()
    tracer = _Stop()
    watches: list[Watch] = []
    made = threading.Event()

    def trace() -> None:
        watches.append(_watch(tracer))
        made.set()
        os.read(read, 1)

    thread = threading.Thread(target=trace)
    thread.start()
    made.wait()
    stat = Path(f"/proc/self/task/{watches[0].tid}/stat")
    while b") S " not in stat.read_bytes():
        os.sched_yield()
    watches[0].run()
    os.write(write, b"x")
    thread.join()
    os.close(read)
    os.close(write)
    assert tracer.ended == [
        "the tracer was stalled",
        "killed 4711",
        "the tracer was stalled",
        "killed",
    ]


def test_a_tracer_that_can_run_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine is no attack: this very thread, which runs while it is looked at."""
    tracer = _Stop()
    _watch(tracer).run()
    assert tracer.ended == []
    monkeypatch.setattr(watch, "_is_running", lambda tid: False)
    _watch(tracer).run()
    assert tracer.ended

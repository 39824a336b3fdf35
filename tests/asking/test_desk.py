"""The desk, where the process that was to answer never comes."""

from __future__ import annotations

import os
import queue
import signal
from pathlib import Path

import pytest

from enforcer.call import Decision
from enforcer.policy.ast import Dialect, Policy
from enforcer.supervision.desk import LEFT_ALONE, Desk
from harness.process import fork, kill, wait

FOREVER_S = 3600.0
LIMIT_S = 60
POLICY = Policy(binary=None, dialect=Dialect.SYSTRACE, rules=())


def _pause() -> int:
    signal.alarm(LIMIT_S)
    signal.pause()
    return 0


def _desk(place: Path, console: int) -> tuple[Desk, queue.Queue[str]]:
    told = queue.Queue[str]()
    desk = Desk(place, FOREVER_S, console)
    desk.left_alone = told.put
    return desk, told


def test_who_is_killed_before_it_comes_is_not_waited_for(tmp_path: Path) -> None:
    """What stands is denied at once, and that nobody answers is told once."""

    def supervisor() -> int:
        console = fork(_pause)
        desk, told = _desk(tmp_path, console)
        desk.start(os.getpid(), 0)
        answers = queue.Queue[Decision | None]()
        standing = desk.standing(POLICY, lambda name, fields: True)
        assert desk.put(standing, {"call": "openat"}, answers.put)
        kill(console)
        answer = answers.get(timeout=LIMIT_S)
        assert answer is not None
        assert answer.reason == "the console went away"
        assert told.get(timeout=LIMIT_S) == LEFT_ALONE
        assert not desk.is_heard
        assert not desk.put(standing, {"call": "openat"}, answers.put)
        assert told.empty()
        return 0

    assert wait(fork(supervisor)) == 0


@pytest.mark.parametrize("is_there", [True, False], ids=["alive", "gone"])
def test_who_was_gone_before_the_target_began(is_there: bool, tmp_path: Path) -> None:
    """Nobody is waited for then; that is told when the target begins."""

    def supervisor() -> int:
        console = fork(_pause)
        if not is_there:
            kill(console)
            wait(console)
        desk, told = _desk(tmp_path, console)
        desk.start(os.getpid(), 0)
        assert desk.is_heard == is_there
        assert told.empty() == is_there
        if is_there:
            kill(console)
        return 0

    assert wait(fork(supervisor)) == 0

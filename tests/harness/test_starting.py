"""What a target starts with."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from harness.places import starting
from harness.places.layout import Layout
from harness.process import fork, wait

TAKEN = (signal.SIGINT, signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMAX)


def test_every_target_has_the_same_signals(tmp_path: Path) -> None:
    """Whatever those that started it ignore or catch is theirs."""

    def target() -> int:
        for number in TAKEN[:3]:
            signal.signal(number, signal.SIG_IGN)
        for number in TAKEN[3:]:
            signal.signal(number, lambda *_: None)
        starting._reset(Layout(root=tmp_path))
        left = [each for each in signal.valid_signals() if signal.getsignal(each) != signal.SIG_DFL]
        return len(left)

    assert os.waitstatus_to_exitcode(wait(fork(target))) == 0

"""The local pool of worker processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest

from harness.workers import pool


def test_who_does_not_wait_leaves_nothing_running(tmp_path: Path) -> None:
    """A worker that is busy has ended, and so has the pool's own thread, which concurrent.futures
    would wake at exit while it may be closing what it is woken by.
    """
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    before = {*threading.enumerate()}
    executor = pool(2, "")()
    busy = executor.submit(fifo.read_text)
    with fifo.open("w"):  # opened once the worker reads, which goes on as long as this is open
        executor.shutdown(wait=False, cancel_futures=True)
    assert multiprocessing.active_children() == []
    assert {*threading.enumerate()} <= before
    with pytest.raises(BrokenExecutor):
        busy.result(0)

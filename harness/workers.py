"""The processes that carry cases out, started clean so that each may fork as it likes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor

from harness.runner import begin_worker
from harness.stages import HERE


def pool(workers: int, address: str) -> Callable[[], Executor]:
    """Makes executors of so many workers, who tell their stages to `address`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.runner"])

    def start() -> Executor:
        return ProcessPoolExecutor(
            workers, mp_context=context, initializer=_begin, initargs=(address,)
        )

    return start


def end_workers() -> None:
    """Terminate all of them; whatever they started ends with them."""
    for child in multiprocessing.active_children():
        child.terminate()


def _begin(address: str) -> None:
    HERE.address = address
    begin_worker()

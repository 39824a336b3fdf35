"""The processes that carry cases out, started clean so that each may fork as it likes."""

from __future__ import annotations

import functools
import multiprocessing
import signal
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import forkserver
from multiprocessing.util import Finalize, get_temp_dir

from harness.runner import begin_worker
from harness.scratch import Scratch
from harness.stages import HERE


def pool(workers: int, address: str) -> Callable[[], Executor]:
    """Makes executors of so many workers, who tell their stages to `address`."""
    _keep_sockets_together()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.runner"])
    # Ctrl-C goes to all of the terminal's foreground. The server sets it aside itself, but only
    # after it has imported what it preloads (multiprocessing.forkserver.main).
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    forkserver.ensure_running()
    signal.signal(signal.SIGINT, before)

    def start() -> Executor:
        return _Processes(workers, mp_context=context, initializer=_begin, initargs=(address,))

    return start


class _Processes(ProcessPoolExecutor):
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Whoever does not wait for what is running ends it. The pool's own thread has ended then:
        at exit concurrent.futures wakes such threads through a pipe that one may be closing just
        then, without a lock (`_python_exit` in its process.py), which leaves a traceback.
        """
        if not wait:
            for worker in multiprocessing.active_children():
                worker.terminate()  # whatever it started ends with it
        super().shutdown(wait=True, cancel_futures=cancel_futures)


@functools.cache
def _keep_sockets_together() -> None:
    """What multiprocessing puts on disk goes where it is found again after kill -9."""
    scratch = Scratch()
    Finalize(None, scratch.close, exitpriority=-200)
    before, tempfile.tempdir = tempfile.tempdir, str(scratch.path)
    get_temp_dir()
    tempfile.tempdir = before


def _begin(address: str) -> None:
    HERE.address = address
    begin_worker()

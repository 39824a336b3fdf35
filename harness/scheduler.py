"""Workers on many machines, through Dask's scheduler: the same executor as the local pool's.

A case runs again elsewhere when its worker is lost; the results come to the one writer here.
"""

from __future__ import annotations

import functools
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness import tree
from harness.campaign import Pool
from harness.installing import by_pip
from harness.model import Result
from harness.places.local import this_machine
from harness.provenance import modules_digest
from harness.runner import Job, broken_result

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10.0
Jobs = Sequence[Job]
Results = tuple[Result, ...]
"""What goes to one worker together, and what comes back, in its order."""
_Answer = TypeVar("_Answer")
_ONE_AT_A_TIME = threading.Lock()  # a process has one agent, whatever number of threads it is given


class SchedulerError(Exception):
    """There is nobody to send cases to; the message has the fix."""


def pool(address: str) -> Pool:
    """The workers of the scheduler at `address`, as many as there are now.

    Raises SchedulerError.
    """
    try:
        from distributed import Client
    except ImportError:
        mend = by_pip("distributed")
        raise SchedulerError(f"many machines need Dask's distributed: {mend}") from None

    # A lost scheduler is our own error's to tell, not a traceback of the library's before it.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)

    def connected() -> Client:
        return Client(address, timeout=CONNECT_S, set_as_default=False)

    try:
        client = connected()
    except (OSError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise SchedulerError(f"no scheduler answers at {address}: {why}") from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
    except TimeoutError:
        mend = f"start some, on machines like this one: dask worker {address} --nthreads 1"
        raise SchedulerError(f"the scheduler at {address} has no workers; {mend}") from None
    finally:
        client.close()
    return Pool(start=lambda: SchedulerExecutor(connected()), workers=workers)


class SchedulerExecutor(Executor):
    """Sends calls to a scheduler. A call whose workers die one after the other ends with
    BrokenExecutor, one whose scheduler is lost with ConnectionError.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        # Twice the same case is two runs: a result is no function of its arguments here.
        self._inner = client.get_executor(pure=False)

    def submit(  # type: ignore[override]
        self, function: Callable[[Jobs], Results], jobs: Jobs, /
    ) -> Future[Results]:
        inner = self._inner.submit(
            there, function, jobs, tree.OWN, (modules_digest(), this_machine())
        )
        outer: Future[Results] = Future()
        inner.add_done_callback(functools.partial(_hand_over, outer))
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._inner.shutdown(wait=wait and not cancel_futures)
        self._client.close()


def there(
    function: Callable[[Jobs], Results], jobs: Jobs, own: Path, judged_by: tuple[str, str]
) -> Results:
    """Carry jobs out, on the worker. `own` is where the sender's own attacks are; what comes with
    them is found where it is here. A worker of other modules or of another kind of machine than
    the sender's judges nothing: its references would be somebody else's.
    """
    here = modules_digest(), this_machine()
    for what, mine, yours in zip(("modules", "a kind of machine"), here, judged_by, strict=True):
        if mine != yours:
            host = socket.gethostname()
            why = f"the worker on {host} has {what} of its own: {mine}"
            return tuple(broken_result(job, why) for job in jobs)
    with _ONE_AT_A_TIME:
        return function([_found_here(job, own) for job in jobs])


def _found_here(job: Job, own: Path) -> Job:
    if job.attack is None or not job.attack.program.is_relative_to(own):
        return job
    program = tree.OWN / job.attack.program.relative_to(own)
    return replace(job, attack=replace(job.attack, program=program))


def _hand_over(outer: Future[_Answer], inner: Future[_Answer]) -> None:
    from distributed.scheduler import KilledWorker

    if inner.cancelled():
        outer.set_exception(ConnectionError("the scheduler was lost, or cancelled the case"))
    elif (error := inner.exception()) is None:
        outer.set_result(inner.result())
    elif isinstance(error, KilledWorker):
        outer.set_exception(BrokenExecutor("its workers died, one after the other"))
    else:
        outer.set_exception(error)

"""What workers are doing just now, told by datagrams: nobody waits for anybody, nothing is kept."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum


class Stage(StrEnum):
    """What a worker does for its case."""

    BOOTING = "booting"
    RESTORING = "restoring"
    RUNNING = "running"
    DONE = "done"


class Teller:
    """A worker's end. Without an address it tells nobody."""

    def __init__(self, address: str = "") -> None:
        self.address = address

    def tell(self, stage: Stage) -> None:
        """Say what this process does now; lost when nobody listens."""
        if not self.address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            mouth.setblocking(False)
            with contextlib.suppress(OSError):
                mouth.sendto(f"{os.getpid()} {stage}".encode(), self.address)


HERE = Teller()  # this process's; a worker is given the address when it starts


@contextlib.contextmanager
def listening(show: Callable[[Counter[Stage]], None]) -> Iterator[str]:
    """The address that workers tell; `show` gets the number of workers in each stage, from a
    thread, whenever one of them tells.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        address = f"\0interposition-lab-{os.getpid()}-{id(ear)}"
        ear.bind(address)
        thread = threading.Thread(target=_listen, args=(ear, show), daemon=True)
        thread.start()
        try:
            yield address
        finally:
            ear.shutdown(socket.SHUT_RD)
            thread.join()


def _listen(ear: socket.socket, show: Callable[[Counter[Stage]], None]) -> None:
    workers: dict[str, Stage] = {}
    while told := ear.recv(100):
        worker, _, stage = told.decode("ascii", "replace").partition(" ")
        if stage not in list(Stage):
            continue  # anybody in this network namespace can send here
        workers[worker] = Stage(stage)
        if workers[worker] is Stage.DONE:
            del workers[worker]
        show(Counter(workers.values()))

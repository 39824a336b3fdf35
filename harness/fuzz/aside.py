"""Work in a child with a limit of processor time: for libraries in C that may never return."""

from __future__ import annotations

import os
import pickle
import resource
import signal
from collections.abc import Callable
from typing import TypeVar, cast

from harness.process import fork, wait

MEMORY_BYTES = 4 << 30

_Answer = TypeVar("_Answer")


class Endless(Exception):
    """The work used up its processor time."""


def aside(work: Callable[[], _Answer], *, cpu_seconds: int) -> _Answer:
    """What `work` returns, which must be picklable.

    Raises Endless, and ChildProcessError when the child ends otherwise without an answer.
    """
    read_end, write_end = os.pipe()

    def body() -> int:
        os.close(read_end)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        answer = pickle.dumps(work())
        with os.fdopen(write_end, "wb") as stream:
            stream.write(answer)
        return 0

    child = fork(body)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        said = stream.read()
    status = os.waitstatus_to_exitcode(wait(child))
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Endless(f"no end within {cpu_seconds} s of processor time")
    if status:
        raise ChildProcessError(f"the child ended with {status}")
    return cast("_Answer", pickle.loads(said))

"""What the kernel answers to a call that is made on nothing at all, by a child for its parent."""

from __future__ import annotations

import os
import signal

from enforcer.kernel.raw import LONG, raw_call

TRIED_S = 5
"""Some calls wait for ever (pause): then the child's alarm ends it."""


def tried(call: str) -> int:
    """The errno of a call of the native ABI; 0 also where it was not refused but ended its caller.

    In a child, because some calls change who makes them: ptrace(0) makes a tracee, which stops at
    its next signal, and whoever waits for this process never hears of it again.
    """
    child = os.fork()
    if child == 0:
        signal.alarm(TRIED_S)
        os._exit(-min(0, raw_call(call, arguments=(LONG,) * 6)(*map(LONG, (0, 0, -1, -1, -1, -1)))))
    _, status = os.waitpid(child, 0)
    if os.WIFSTOPPED(status):  # by its alarm; only of a tracee it is told without WUNTRACED
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0

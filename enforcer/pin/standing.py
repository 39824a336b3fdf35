"""Who a task is, asked from the kernel once and kept while it cannot have changed.

Credentials are a task's own: nobody but the task itself replaces them (credentials(7),
commit_creds), by set*id, setgroups, capset, unshare, setns and execve. A filter that holds these
calls tells when to ask again: at the call, for the task makes no other before it has returned.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from errno import EINVAL
from typing import NamedTuple

from enforcer.kernel.pidfd import PIDFD_THREAD, pidfd_open
from enforcer.pin.identity import Identity

_MOST = 256


class Standing(NamedTuple):
    """The process that a task belongs to, who it is, and whether that is its supervisor's own."""

    tgid: int
    identity: Identity
    is_own: bool


class _Kept:
    """What was learnt of the task that `pidfd` means; the descriptor is closed with it."""

    __slots__ = ("pidfd", "standing")

    def __init__(self, pidfd: int, standing: Standing) -> None:
        self.pidfd = pidfd
        self.standing = standing

    def __del__(self) -> None:
        os.close(self.pidfd)


class Standings:
    """What a supervisor that sees neither births nor deaths keeps of its tasks, by number.

    A number means the task it meant before as long as that task's pidfd is alive: it keeps its
    number until it is reaped.

    One thing changes a task unseen: when a thread executes, it takes over the number, and the
    pidfd, of its process's leader (de_thread, exchange_tids).

        leader (root)          thread 2 (dropped)       supervisor
        open, held                                      asks: root, keeps it
                               execve, held             forgets thread 2
        open, held                                      asks again: root, keeps it
        killed by the execve   is the leader now
                               open, held               must not take it for root

    So a number whose process was ever executed by another thread is asked about at every use.
    """

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}
        self._taken_over: set[int] = set()

    def of(self, tid: int, ask: Callable[[], Standing], *, is_changing: bool) -> Standing:
        """The standing of a task that is held; `ask` gives it afresh, and raises TargetGone.

        `is_changing`: the held call may change it, so what is asked now is not kept.
        """
        kept = self._kept.get(tid)
        if kept is not None and _is_alive(kept.pidfd):
            return kept.standing
        pidfd = pidfd_open(tid, PIDFD_THREAD)
        if pidfd == -EINVAL:  # before Linux 6.9: none of threads, but of a leader
            pidfd = pidfd_open(tid)
        if pidfd < 0:
            return ask()
        kept = _Kept(pidfd, ask())
        if not is_changing and tid not in self._taken_over:
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[tid] = kept
        return kept.standing

    def forget(self, tid: int) -> None:
        """The held call of `tid` may change who it is."""
        self._kept.pop(tid, None)

    def executes(self, tid: int, tgid: int) -> None:
        """The held call of `tid` executes a program in process `tgid`."""
        self.forget(tid)
        if tid != tgid:
            self._taken_over.add(tgid)
            self.forget(tgid)


def _is_alive(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

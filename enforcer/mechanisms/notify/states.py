"""What a listener says of itself, without anything being received."""

from __future__ import annotations

import select


class States:
    """The states of one listener, for any thread.

    Not by poll(2), which is EINVAL under a limit of fewer descriptors than it is asked about
    (do_sys_poll): whoever can set a supervisor's limits would end it, and each held call with
    ENOSYS. Both descriptors are there from the beginning, for later there may be none.
    """

    def __init__(self, listener: int) -> None:
        self._end = select.epoll()
        self._end.register(listener, 0)
        self._call = select.epoll()
        self._call.register(listener, select.EPOLLIN)

    def has_ended(self, wait_s: float) -> bool:
        """Whether no task is left that has the filter; waits so long for that at most."""
        # EPOLLHUP: just that (seccomp_notify_poll, Linux 5.9).
        # EPOLLERR: a signal came while it waited for the filter's lock.
        return any(events & select.EPOLLHUP for _, events in self._end.poll(wait_s))

    def has_call(self) -> bool:
        """Whether a held call waits to be received."""
        return any(events & select.EPOLLIN for _, events in self._call.poll(0))

"""The listener: how the tracer places a descriptor in a task that it holds.

A stopped call is renumbered to DELIVER, which the filter answers with USER_NOTIF; this thread
meets the notification and gives what was arranged. A call that nobody arranged (a target that uses
the number by itself) gets ENOSYS. Holding the listener also keeps the target from having one.
"""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Callable
from typing import Protocol

from enforcer.kernel import notification
from enforcer.kernel.pidfd import pidfd_getfd, pidfd_open
from enforcer.pin import TargetGone
from enforcer.pin.identity import OutOfReach

Opener = Callable[[], int]
"""Gives a descriptor of the tracer's (closed after its delivery) or -errno. It may block."""


class Deliveries(Protocol):
    """Who answers a task's DELIVER: once, by what was arranged for it."""

    def arrange(self, tid: int, opener: Opener, *, close_on_exec: bool) -> None:
        """The next DELIVER of `tid` gets the descriptor that `opener` gives."""
        ...

    def arrange_result(self, tid: int, act: Opener) -> None:
        """The next DELIVER of `tid` gets the result of `act`."""
        ...

    def forget(self, tid: int) -> None:
        """`tid` is gone or its DELIVER is over."""
        ...


def outcome(opener: Opener) -> int:
    """What `opener` gives, or -errno of what it raises."""
    try:
        return opener()
    except TargetGone:
        return -errno.ESRCH
    except OutOfReach:
        return -errno.EPERM
    except OSError as error:
        return -(error.errno or errno.EACCES)


class Listener(threading.Thread):
    """Answers notifications until no task is left that could make one."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(name="listener", daemon=True)
        self.descriptor = descriptor
        self._arranged: dict[int, tuple[Opener, bool | None]] = {}
        notification.wake_synchronously(descriptor)

    @classmethod
    def taken_from(cls, tid: int, number: int) -> Listener:
        """The listener that task `tid` holds as descriptor `number`. Raises OSError."""
        pidfd = pidfd_open(tid)
        if pidfd < 0:
            raise OSError(-pidfd, os.strerror(-pidfd))
        descriptor = pidfd_getfd(pidfd, number)
        os.close(pidfd)
        if descriptor < 0:
            raise OSError(-descriptor, os.strerror(-descriptor))
        return cls(descriptor)

    def arrange(self, tid: int, opener: Opener, *, close_on_exec: bool) -> None:
        self._arranged[tid] = (opener, close_on_exec)

    def arrange_result(self, tid: int, act: Opener) -> None:
        self._arranged[tid] = (act, None)

    def forget(self, tid: int) -> None:
        self._arranged.pop(tid, None)

    def run(self) -> None:
        while True:
            try:
                held = notification.receive(self.descriptor)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT) and not self._is_over():
                    continue
                return
            cookie, tid = notification.NOTIFICATION.unpack(held)[:2]
            arranged = self._arranged.pop(tid, None)
            if arranged is None:
                notification.answer(self.descriptor, cookie, -errno.ENOSYS)
                continue
            thread = threading.Thread(target=self._deliver, args=(cookie, *arranged), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # as threading says that the system gives no more of them
                notification.answer(self.descriptor, cookie, -errno.EAGAIN)

    def _is_over(self) -> bool:
        """Whether the filter has no task any more (the listener then polls as hung up)."""
        poller = select.poll()
        poller.register(self.descriptor, 0)
        return any(events & select.POLLHUP for _, events in poller.poll(0))

    def _deliver(self, cookie: int, opener: Opener, close_on_exec: bool | None) -> None:
        descriptor = outcome(opener)
        if descriptor < 0 or close_on_exec is None:
            notification.answer(self.descriptor, cookie, descriptor)
            return
        # Closed here before the task goes on: else it could not unmount what it closes, nor
        # execute what it has written (EBUSY, ETXTBSY).
        try:
            result = notification.place_descriptor(
                self.descriptor, cookie, descriptor, close_on_exec
            )
        finally:
            os.close(descriptor)
        notification.answer(self.descriptor, cookie, result)

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

from enforcer.kernel import notification
from enforcer.kernel.pidfd import pidfd_getfd, pidfd_open
from enforcer.pin import TargetGone
from enforcer.pin.identity import OutOfReach

Opener = Callable[[], int]
"""Gives a descriptor of the tracer's (closed after its delivery) or -errno. It may block."""


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


class Deliveries:
    """Who answers a task's DELIVER: once, by what was arranged for it.

    `arranged` is by task: what to do, and whether the descriptor that it gives is closed at an
    execve (None: it gives the call's result).
    """

    def __init__(self) -> None:
        self.arranged: dict[int, tuple[Opener, bool | None]] = {}

    def arrange(self, tid: int, opener: Opener, *, close_on_exec: bool) -> None:
        """The next DELIVER of `tid` gets the descriptor that `opener` gives."""
        self.arranged[tid] = (opener, close_on_exec)

    def arrange_result(self, tid: int, act: Opener) -> None:
        """The next DELIVER of `tid` gets the result of `act`."""
        self.arranged[tid] = (act, None)

    def forget(self, tid: int) -> None:
        """`tid` is gone or its DELIVER is over."""
        self.arranged.pop(tid, None)


class Listener(Deliveries):
    """Answers notifications until no task is left that could make one."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor
        # Not poll(2), which is EINVAL under a limit of fewer descriptors than it is asked about
        # (do_sys_poll): whoever can set our limits would end us.
        self._hung_up = select.epoll()
        self._hung_up.register(descriptor, 0)
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

    def start(self) -> None:
        """Answer from now on, in a thread."""
        threading.Thread(target=self._run, name="listener", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                held = notification.receive(self.descriptor)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT) and not self._is_over():
                    continue
                return
            cookie, tid = notification.NOTIFICATION.unpack(held)[:2]
            arranged = self.arranged.pop(tid, None)
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
        return any(events & select.EPOLLHUP for _, events in self._hung_up.poll(0))

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

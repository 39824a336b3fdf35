"""Supervisors with a watchdog that answers in their place when they do not."""

from __future__ import annotations

import errno
import os
import select
import socket
from pathlib import Path

from enforcer.kernel import notification
from enforcer.supervision.launch import Handshake
from harness.backends.unprotected import UnprotectedSession


class Watched(UnprotectedSession):
    """Its watchdog says yes."""

    fails_open = True

    def serve(self, handshake: Handshake) -> None:
        """Forks the watchdog before there are threads."""
        self._leash, other = socket.socketpair()
        supervisor = os.getpid()
        if os.fork() == 0:
            self._leash.close()
            handshake.close()
            _watch_over(supervisor, other, self.fails_open)
            os._exit(0)
        other.close()
        super().serve(handshake)

    def _greet(self, number: int, is_synchronous: bool) -> None:
        super()._greet(number, is_synchronous)
        socket.send_fds(self._leash, [b"listener"], [self.listener])


class WatchedWell(Watched):
    """Its watchdog says no."""

    fails_open = False


def _watch_over(supervisor: int, leash: socket.socket, fails_open: bool) -> None:
    """Answer in the supervisor's place what it leaves unanswered, dead or stopped as it is."""
    _, (listener, *_), _, _ = socket.recv_fds(leash, 64, 1)
    waiting, alive = select.poll(), select.poll()
    waiting.register(listener, select.POLLIN)
    alive.register(leash, 0)
    while waiting.poll()[0][1] == select.POLLIN:
        if not alive.poll(0) and not _is_stopped(supervisor):
            os.sched_yield()
            continue
        cookie = notification.NOTIFICATION.unpack(notification.receive(listener))[0]
        if fails_open:
            notification.let_continue(listener, cookie)
        else:
            notification.answer(listener, cookie, -errno.ENOSYS)


def _is_stopped(pid: int) -> bool:
    """As proc_pid_stat(5) has it: the state follows the name, which may have brackets itself."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state == "T"

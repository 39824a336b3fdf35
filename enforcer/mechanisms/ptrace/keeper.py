"""A process that holds descriptors for tasks which no listener can give them to.

An attached task is under no filter, so that nothing places descriptors in it (SECCOMP_ADDFD). It
takes them itself, by pidfd_getfd(2), for which the kernel wants that it may trace whoever has them:
not the tracer, but this process, which has its ids, no capability, and nothing else worth having.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress

from enforcer.arch.record import Abi
from enforcer.kernel.credentials import set_effective_capabilities
from enforcer.kernel.prctl import permit_dumping, permit_tracer, set_name
from enforcer.mechanisms.ptrace.tasks import Script
from enforcer.syscalls import number

_ANSWER_S = 2.0
_FAILED = 70


class Keeper:
    """One such process, with the ids of the tasks that it is for. Ends with the tracer."""

    def __init__(self, uid: int, gid: int, tracee: int) -> None:
        """`tracee`: under Yama, the process that may trace it, and its descendants.

        Before the tracer has threads: it forks. Raises OSError.
        """
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            _keep(theirs, uid, gid, tracee)
        theirs.close()
        self._socket.settimeout(_ANSWER_S)

    def hold(self, descriptor: int) -> int:
        """The number of its duplicate there. Raises OSError when the keeper is gone."""
        socket.send_fds(self._socket, [b"hold"], [descriptor])
        answer = self._socket.recv(64)
        if not answer:
            raise ConnectionResetError
        return int(answer)

    def drop(self, held: int) -> None:
        """It is not needed any more."""
        with suppress(OSError):
            self._socket.send(b"%d" % held)

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self._socket.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def brought(self, abi: Abi, descriptor: int, *, close_on_exec: bool) -> Script:
        """The script by which a task takes `descriptor`, which is closed: its own, or -errno.

        As open(2) it is the lowest that was free, here that of the pidfd. Raises OSError.
        """
        names = ("pidfd_open", "pidfd_getfd", "dup3", "close")
        calls = [number(abi.name, name) or -1 for name in names]
        take, get, move, close = calls
        try:
            held = self.hold(descriptor)
        finally:
            os.close(descriptor)
        try:
            pidfd = yield take, (self.pid, 0)
            if pidfd < 0:
                return pidfd
            found = yield get, (pidfd, held, 0)
        finally:
            self.drop(held)
        if found < 0:
            yield close, (pidfd,)
            return found
        placed = yield move, (found, pidfd, os.O_CLOEXEC if close_on_exec else 0)
        yield close, (found,)
        return placed


def _keep(end: socket.socket, uid: int, gid: int, tracee: int) -> None:
    """The keeper's side; never returns."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        os.setpgid(0, 0)
        os.dup2(end.fileno(), 0)
        os.closerange(1, 0x7FFF_FFFF)
        held = socket.socket(fileno=0)
        if (uid, gid) != (os.geteuid(), os.getegid()):
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        set_effective_capabilities(0, 0)
        set_name("keeper")
        permit_dumping()
        permit_tracer(tracee)
        os.chdir("/")
        while True:
            said, descriptors, _, _ = socket.recv_fds(held, 64, 1)
            if not said:
                break
            if descriptors:
                held.send(b"%d" % descriptors[0])
            else:
                os.close(int(said))
    finally:
        os._exit(_FAILED)

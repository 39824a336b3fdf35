"""Path sockets are reached by the tracer, on a duplicate of the task's socket, with its rights.

No address leads a task to a pinned object. The peer sees the tracer's credentials.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from errno import EPIPE

from enforcer.kernel import sockets as raw_sockets
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import Pinned, resolve
from enforcer.pin.view import as_caller
from enforcer.supervision.messages import Message, address_of, own_control
from enforcer.supervision.named_bind import bind_path
from enforcer.supervision.socket_order import path_refusal
from enforcer.syscalls.arguments import AT_FDCWD, LOW_HALF, signed
from enforcer.syscalls.constants import CONSTANTS
from enforcer.syscalls.memory import Refused, UnreadableMemory

_MSG_NOSIGNAL = CONSTANTS["MSG_NOSIGNAL"]

Content = Callable[[], Message]
"""Reads a message; raises UnreadableMemory, Refused."""


def pin_socket(task: Task, path: bytes, *, entry: bool = False) -> Pinned:
    """The socket that a path leads to, or (`entry`) its place in a directory. Raises Refused."""
    found: list[Pinned] = []

    def pin() -> int:
        found.append(resolve(task.view, AT_FDCWD, path, follow=not entry, entry=entry))
        return 0

    failure = _act_for(task, pin)
    if not found:
        raise Refused(-failure)
    if not found[0].name:
        found[0].close()
        raise Refused(found[0].errno)
    return found[0]


def path_refusal_for(task: Task, register: int, address: bytes, *, binds: bool) -> int:
    """Why a task's descriptor takes no path, whatever is there; 0: it is a UNIX socket."""
    call = raw_sockets.bind if binds else raw_sockets.connect

    def attempt(socket: int) -> int:
        return call(socket, address, len(address))

    return -_with_duplicate(task, register, lambda socket: -path_refusal(socket, attempt))


def connect_for(task: Task, register: int, pinned: Pinned) -> int:
    """connect(2) of the task's socket to a pinned one, which is let go of: 0 or -errno."""
    with pinned:
        address = address_of(pinned)
        return _with_duplicate(
            task, register, lambda socket: raw_sockets.connect(socket, address, len(address))
        )


def bind_for(task: Task, register: int, pinned: Pinned, address: bytes) -> int:
    """bind(2) of the task's socket in a pinned directory, which is let go of: 0 or -errno."""
    with pinned:
        return _with_duplicate(
            task, register, lambda socket: bind_path(task.view, socket, pinned, address)
        )


def send_for(task: Task, register: int, pinned: Pinned, content: Content, flags: int) -> int:
    """sendmsg(2) of the task's socket to a pinned one, which is let go of: a count, or -errno."""
    quiet = flags & LOW_HALF | _MSG_NOSIGNAL
    try:
        message = content()
        with pinned, own_control(message.control, task.view.duplicate) as control:
            address = address_of(pinned)
            result = _with_duplicate(
                task,
                register,
                lambda socket: raw_sockets.send_message(
                    socket, address, message.data, control, quiet
                ),
            )
    except UnreadableMemory as error:
        return -error.errno
    except Refused as refused:
        return -refused.number
    if result == -EPIPE and not flags & _MSG_NOSIGNAL:
        raw_sockets.signal_thread(task.process.tgid, task.tid, signal.SIGPIPE)
    return result


def _with_duplicate(task: Task, register: int, act: Callable[[int], int]) -> int:
    socket = task.view.duplicate(signed(register))
    if socket < 0:
        return socket
    try:
        return _act_for(task, lambda: act(socket))
    finally:
        os.close(socket)


def _act_for(task: Task, act: Callable[[], int]) -> int:
    """What `act` returns, done with the task's rights; -EPERM where those cannot be assumed."""
    return as_caller(task.view, act)

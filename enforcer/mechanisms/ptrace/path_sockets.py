"""Path sockets are reached by the tracer, on a duplicate of the task's socket, with its rights.

No address leads to a pinned object for a task. The peer sees its ids, and the tracer's number.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from errno import EPIPE

from enforcer.kernel import sockets as raw_sockets
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import Pinned, resolve_as_caller
from enforcer.pin.view import as_caller
from enforcer.supervision.messages import Message
from enforcer.supervision.named_bind import bind_path
from enforcer.supervision.reaching import connect_to, reach_address, send
from enforcer.supervision.socket_order import path_refusal
from enforcer.syscalls.arguments import AT_FDCWD, signed
from enforcer.syscalls.constants import CONSTANTS
from enforcer.syscalls.memory import Refused, UnreadableMemory

_MSG_NOSIGNAL = CONSTANTS["MSG_NOSIGNAL"]

Content = Callable[[], Message]
"""Reads a message; raises UnreadableMemory, Refused."""


def pin_socket(task: Task, path: bytes, *, entry: bool = False) -> Pinned:
    """The socket that a path leads to, or (`entry`) its place in a directory. Raises Refused."""
    found = resolve_as_caller(task.view, AT_FDCWD, path, follow=not entry, entry=entry)
    if not found.name:
        found.close()
        raise Refused(found.errno)
    return found


def path_refusal_for(task: Task, register: int, address: bytes, *, binds: bool) -> int:
    """Why a task's descriptor takes no path, whatever is there; 0: it is a UNIX socket."""
    call = raw_sockets.bind if binds else raw_sockets.connect

    def attempt(socket: int) -> int:
        return call(socket, address, len(address))

    return -_with_duplicate(task, register, lambda socket: -path_refusal(socket, attempt))


def connect_for(task: Task, register: int, pinned: Pinned) -> int:
    """connect(2) of the task's socket to a pinned one, which is let go of: 0 or -errno."""
    with pinned:
        return _with_duplicate(task, register, lambda socket: connect_to(task.view, socket, pinned))


def bind_for(task: Task, register: int, pinned: Pinned, address: bytes) -> int:
    """bind(2) of the task's socket in a pinned directory, which is let go of: 0 or -errno."""
    with pinned:
        return _with_duplicate(
            task, register, lambda socket: bind_path(task.view, socket, pinned, address)
        )


def reach_for(task: Task, call: str, register: int, address: bytes) -> int:
    """connect(2) or bind(2), as `call` says, by an address that is no path: 0 or -errno."""
    return _with_duplicate(
        task, register, lambda socket: reach_address(task.view, call, socket, address)
    )


def send_for(task: Task, register: int, pinned: Pinned, content: Content, flags: int) -> int:
    """sendmsg(2) of the task's socket to a pinned one, which is let go of: a count, or -errno."""
    quiet = flags | _MSG_NOSIGNAL
    try:
        message = content()
        with pinned:
            result = _with_duplicate(
                task, register, lambda socket: send(task.view, socket, message, pinned.fd, quiet)
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
        return as_caller(task.view, lambda: act(socket))
    finally:
        os.close(socket)

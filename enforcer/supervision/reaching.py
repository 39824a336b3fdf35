"""Socket calls made for a task on a duplicate of its socket, by whoever has its rights.

Raw calls of the current thread, or of its deputy where the task is in other namespaces.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from socket import AF_UNIX, SCM_CREDENTIALS, SOL_SOCKET

from enforcer.kernel import sockets as raw
from enforcer.pin import Pinned, View
from enforcer.pin.channel import Answer, Deputed
from enforcer.pin.remote import Facts, RemoteView, carry_out, is_deputed, permit
from enforcer.supervision.messages import ControlMessage, Message, address_of, own_control
from enforcer.supervision.socket_order import family_of
from enforcer.syscalls.memory import Refused

_CALLS = {"connect": raw.connect, "bind": raw.bind}


def reach_address(view: View, call: str, socket: int, address: bytes) -> int:
    """connect(2) or bind(2), as `call` says, by an address that is no path: 0 or -errno."""
    if is_deputed():
        return _number(
            carry_out(_address_there, view, permit, call, address, descriptors=(socket,))
        )
    return _CALLS[call](socket, address, len(address))


def connect_to(view: View, socket: int, pinned: Pinned) -> int:
    """connect(2) to the very socket that was pinned: 0 or -errno."""
    if is_deputed():
        return _number(carry_out(_connect_there, view, permit, descriptors=(socket, pinned.fd)))
    address = address_of(pinned.fd)
    return raw.connect(socket, address, len(address))


def send(view: View, socket: int, message: Message, target: int, flags: int) -> int:
    """sendmsg(2), to the path socket `target` where that is not negative: a count or -errno.

    Raises Refused for descriptors that the task does not have.
    """
    if is_deputed():
        words = message.address, message.data, message.control, flags
        given = (socket,) if target < 0 else (socket, target)
        return _number(carry_out(_send_there, view, permit, *words, descriptors=given))
    address = message.address if target < 0 else address_of(target)
    told = (*message.control, *_credentials(socket, message.control))
    with own_control(told, view.duplicate) as control:
        return raw.send_message(socket, address, message.data, control, flags)


def _credentials(socket: int, control: Sequence[ControlMessage]) -> Sequence[ControlMessage]:
    """Who the sender is, for a peer that asks (SO_PASSCRED).

    The kernel itself names the real ids of who sends (scm_send), which stay the supervisor's. What
    a thread has as effective ids, here the task's, it may name as well (scm_check_creds).
    """
    ids = os.geteuid(), os.getegid()
    if ids == (os.getuid(), os.getgid()) or family_of(socket) != AF_UNIX:
        return ()
    if any((level, kind) == (SOL_SOCKET, SCM_CREDENTIALS) for level, kind, _ in control):
        return ()
    return ((SOL_SOCKET, SCM_CREDENTIALS, struct.pack("=iII", os.getpid(), *ids)),)


def _number(answer: tuple[object, list[int]]) -> int:
    value, _ = answer
    assert isinstance(value, int)
    return value


def _address_there(
    deputed: Deputed, facts: Facts, call: str, address: bytes, socket: int
) -> Answer:
    return _CALLS[call](socket, address, len(address)), ()


def _connect_there(deputed: Deputed, facts: Facts, socket: int, target: int) -> Answer:
    address = address_of(target)
    return raw.connect(socket, address, len(address)), ()


def _send_there(
    deputed: Deputed,
    facts: Facts,
    address: bytes | None,
    data: bytes,
    control: tuple[tuple[int, int, bytes], ...],
    flags: int,
    socket: int,
    target: int = -1,
) -> Answer:
    message = Message(address, data, control)
    try:
        return send(RemoteView(deputed, facts), socket, message, target, flags), ()
    except Refused as refused:
        return -refused.number, ()

"""Socket calls made for a task on a duplicate of its socket, by whoever has its rights.

Raw calls of the current thread, or of its deputy where the task is in other namespaces.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import replace
from errno import EPERM
from socket import AF_UNIX, SCM_CREDENTIALS, SOL_SOCKET

from enforcer.kernel import sockets as raw
from enforcer.pin import Pinned, View
from enforcer.pin.channel import Answer, Deputed
from enforcer.pin.remote import Facts, RemoteView, carry_out, is_deputed, permit
from enforcer.supervision.messages import ControlMessage, Message, address_of, own_control
from enforcer.supervision.socket_order import family_of
from enforcer.syscalls.memory import Refused

_CALLS = {"connect": raw.connect, "bind": raw.bind}
_UCRED = struct.Struct("=iII")


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
        words = message.address, message.data, message.control, message.beyond, flags
        given = (socket,) if target < 0 else (socket, target)
        return _number(carry_out(_send_there, view, permit, *words, descriptors=given))
    control = message.control
    if target >= 0:
        message = replace(message, address=address_of(target))
    is_unix = (bool(control) or _has_other_ids()) and family_of(socket) == AF_UNIX
    told = (*control, *_credentials(control)) if is_unix else control
    result = _sent(view, socket, replace(message, control=told), flags, is_unix=is_unix)
    if result == -EPERM and control:
        told = tuple(_with_number(each, view.tgid, os.getpid()) for each in control)
        if told != control:
            return _sent(view, socket, replace(message, control=told), flags, is_unix=is_unix)
    return result


def _sent(view: View, socket: int, message: Message, flags: int, *, is_unix: bool) -> int:
    with own_control(message.control, view.duplicate if is_unix else None) as control:
        return raw.send_message(
            socket, message.address, message.data, control, flags, message.beyond
        )


def _with_number(each: ControlMessage, process: int, own: int) -> ControlMessage:
    """The same, if it names `process` as its sender, with the number of who really sends.

    Without CAP_SYS_ADMIN nobody may give another (scm_check_creds).
    """
    level, kind, body = each
    if (level, kind) != (SOL_SOCKET, SCM_CREDENTIALS) or body is None or len(body) != _UCRED.size:
        return each
    named, uid, gid = _UCRED.unpack(body)
    return (level, kind, _UCRED.pack(own, uid, gid)) if named == process else each


def _has_other_ids() -> bool:
    return (os.geteuid(), os.getegid()) != (os.getuid(), os.getgid())


def _credentials(control: Sequence[ControlMessage]) -> Sequence[ControlMessage]:
    """Who the sender is, for a peer of a UNIX socket that asks (SO_PASSCRED).

    The kernel itself names the real ids of who sends (scm_send), which stay the supervisor's. What
    a thread has as effective ids, here the task's, it may name as well (scm_check_creds).
    """
    if not _has_other_ids():
        return ()
    if any((level, kind) == (SOL_SOCKET, SCM_CREDENTIALS) for level, kind, _ in control):
        return ()
    named = _UCRED.pack(os.getpid(), os.geteuid(), os.getegid())
    return ((SOL_SOCKET, SCM_CREDENTIALS, named),)


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
    control: tuple[ControlMessage, ...],
    beyond: int,
    flags: int,
    socket: int,
    target: int = -1,
) -> Answer:
    message = Message(address, data, control, beyond)
    try:
        return send(RemoteView(deputed, facts), socket, message, target, flags), ()
    except Refused as refused:
        return -refused.number, ()

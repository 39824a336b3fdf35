"""Calls that take socket addresses, carried out on duplicates with the supervisor's own copies.

Data and control messages are copied too; descriptors in them are duplicated from the sender.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from enforcer.arch import ABIS
from enforcer.kernel import sockets as raw
from enforcer.mechanisms.notify.worker import Handler, Worker
from enforcer.pin import resolve
from enforcer.pin.view import as_caller
from enforcer.supervision.addresses import (
    descriptor_refusal,
    early_refusal,
    in_kernel_terms,
    meant_by,
    missing_path,
    texts_of,
)
from enforcer.supervision.judge import Values
from enforcer.supervision.messages import (
    Message,
    flags_of,
    path_of,
    read_content,
    read_plain,
    readable,
)
from enforcer.supervision.named_bind import bind_path
from enforcer.supervision.reaching import connect_to, reach_address, send
from enforcer.supervision.socket_order import path_refusal
from enforcer.syscalls.arguments import (
    AT_FDCWD,
    length_place,
    message_places,
    read_address,
    read_message,
    signed,
)
from enforcer.syscalls.constants import CONSTANTS
from enforcer.syscalls.memory import Arguments, Refused, UnreadableMemory
from enforcer.syscalls.sockaddr import Address

_Act = Callable[[Worker, Arguments], int]

ADDRESSED = frozenset({"connect", "bind", "sendto", "sendmsg", "sendmmsg"})

_MSG_NOSIGNAL = CONSTANTS["MSG_NOSIGNAL"]


def addressed(name: str) -> Handler:
    """The handler of one of ADDRESSED: what it opens is closed before the task can go on."""
    doing: _Act = {
        "connect": _connect,
        "bind": _connect,
        "sendto": _sendto,
        "sendmsg": _sendmsg,
        "sendmmsg": _sendmmsg,
    }[name]

    def act(worker: Worker, args: Arguments) -> int:
        try:
            return doing(worker, args)
        except (Refused, UnreadableMemory) as error:
            wrong = early_refusal(worker.name, signed(args[0]), worker.duplicate)
            if wrong:
                return -wrong
            if isinstance(error, Refused):
                return -error.number
            raise

    def handle(worker: Worker, args: Arguments) -> None:
        view = worker.view
        if view.has_supervisors_rights:
            worker.answer(act(worker, args))
        else:
            worker.answer(as_caller(view, lambda: act(worker, args)))

    return handle


def _connect(worker: Worker, args: Arguments) -> int:
    address = read_address(worker, args[1], args[2])
    descriptor = signed(args[0])
    connects, to = worker.name == "connect", address
    if not connects or not worker.is_known(address):  # paths are never known
        path = path_of(address)
        if path is not None:
            return _at_path(worker, args, address, path)
        meant = meant_by(address, worker.name, descriptor, worker.duplicate)
        number = _judged(worker, texts_of(worker.name, meant), meant)
        if number:
            return -number
        to = meant.raw
        if connects:  # to which the bytes say all that the text says, on every socket
            worker.remember(to)
    view, name = worker.view, worker.name
    socket = view.duplicate(descriptor)
    if socket < 0:
        return socket
    try:
        waits = connects and raw.may_wait(socket)
        return worker.act(lambda: reach_address(view, name, socket, to), waits=waits)
    finally:
        os.close(socket)


def _judged(worker: Worker, values: Values, *addresses: Address) -> int:
    """The policy's word on a call with these addresses: 0 or an errno."""
    number = worker.decide(values)
    if number and worker.decision is not None:
        worker.decision = in_kernel_terms(worker.decision, *addresses)
        return worker.decision.refusal
    return number


def _at_path(worker: Worker, args: Arguments, address: bytes, path: bytes) -> int:
    """connect or bind by path: to the socket, or in the directory, that was judged."""
    binds = worker.name == "bind"
    call = raw.bind if binds else raw.connect
    with resolve(worker.view, AT_FDCWD, path, follow=not binds, entry=binds) as pinned:
        if pinned.name:
            names = (pinned.name,)
            number = worker.decide({"sockaddr": names, "filename": names}, pinned.missing)
            if number:
                return -number
        with _Duplicate(worker, args[0]) as socket:
            refusal = path_refusal(socket, lambda own: call(own, address, len(address)))
            if refusal or pinned.errno or not pinned.name:
                return -(refusal or pinned.errno or errno.EACCES)
            if binds:
                return worker.act(lambda: bind_path(worker.view, socket, pinned, address))
            return worker.act(lambda: connect_to(worker.view, socket, pinned))


def _sendto(worker: Worker, args: Arguments) -> int:
    address = read_address(worker, args[4], args[5]) if args[4] else None
    message = replace(read_plain(worker, args[1], args[2]), address=address)
    return _judge_and_send(worker, args[0], message, args[3])


def _sendmsg(worker: Worker, args: Arguments) -> int:
    return _judge_and_send(worker, args[0], _read_message(worker, args[1]), args[2])


def _judge_and_send(worker: Worker, register: int, message: Message, flags: int) -> int:
    with ExitStack() as pins:
        address, pinned, target = _pinned(worker, register, message, pins)
        number = _judged(worker, {"sockaddr": (address.text,)}, address)
        if number:
            return -number
        with _Duplicate(worker, register) as socket:
            return _send(worker, socket, pinned, target, flags)


def _sendmmsg(worker: Worker, args: Arguments) -> int:
    size = ABIS[worker.abi].pointer_size
    places = message_places(args[1], args[2], size)
    messages = list(readable(partial(_read_message, worker, place) for place in places))
    with ExitStack() as pins:
        pinned = [_pinned(worker, args[0], message, pins) for message in messages]
        addresses = [address for address, _, _ in pinned]
        texts = tuple(address.text for address in addresses) or ("",)
        number = _judged(worker, {"sockaddr": texts}, *addresses)
        if number:
            return -number
        if not pinned:
            return -descriptor_refusal(signed(args[0]), worker.duplicate)
        with _Duplicate(worker, args[0]) as socket:
            done = 0
            for place, (_, message, target) in zip(places, pinned, strict=False):
                sent = _send(worker, socket, message, target, args[3])
                if sent < 0:
                    return done or sent
                worker.write_bytes(length_place(place, size), sent.to_bytes(4, sys.byteorder))
                done += 1
            return done


class _Duplicate:
    """The task's socket as a descriptor of ours. Raises Refused."""

    def __init__(self, worker: Worker, register: int) -> None:
        self._descriptor = worker.duplicate(signed(register))
        if self._descriptor < 0:
            raise Refused(-self._descriptor)

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _pinned(
    worker: Worker, register: int, message: Message, pins: ExitStack
) -> tuple[Address, Message, int]:
    """What rules compare, the message, and the very socket that its path leads to now, or -1.

    The text is empty for a message without a destination.
    """
    given = message.address or b""
    path = path_of(given)
    own = given, worker.name, signed(register), worker.duplicate
    if path is None:
        meant = meant_by(*own)
        return meant, replace(message, address=meant.raw or message.address), -1
    pinned = pins.enter_context(resolve(worker.view, AT_FDCWD, path))
    if not pinned.exists:
        raise missing_path(*own, pinned.errno or errno.ENOENT)
    return Address(text=pinned.name, raw=given), message, pinned.fd


def _read_message(worker: Worker, address: int) -> Message:
    size = ABIS[worker.abi].pointer_size
    header, destination = read_message(worker, address, size)
    return replace(read_content(worker, header, size), address=destination)


def _send(worker: Worker, socket: int, message: Message, target: int, register: int) -> int:
    """Send for the task; what a broken pipe does to it is done to it. Raises UnreadableMemory."""
    flags = flags_of(worker.name, register, ABIS[worker.abi].pointer_size)
    quiet = flags | _MSG_NOSIGNAL
    result = worker.act(lambda: send(worker.view, socket, message, target, quiet))
    if result == -errno.EFAULT and message.beyond:
        raise UnreadableMemory(0)
    if result == -errno.EPIPE and not flags & _MSG_NOSIGNAL:
        raw.signal_thread(worker.view.tgid, worker.tid, signal.SIGPIPE)
    return result

"""Calls that take socket addresses, carried out on duplicates with the supervisor's own copies.

Data and control messages are copied too; descriptors in them are duplicated from the sender.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from enforcer.arch import ABIS
from enforcer.kernel import sockets as raw
from enforcer.mechanisms.notify.arguments import signed
from enforcer.mechanisms.notify.worker import Arguments, Worker
from enforcer.pin import resolve
from enforcer.pin.identity import act_as
from enforcer.pin.view import own_identity
from enforcer.supervision.named_bind import bind_path
from enforcer.syscalls.translate import CONSTANTS, format_sockaddr

Handler = Callable[[Worker, Arguments], None]
_Act = Callable[[Worker, Arguments], int]

ADDRESSED = frozenset({"connect", "bind", "sendto", "sendmsg", "sendmmsg"})

_AF_UNIX = CONSTANTS["AF_UNIX"]
_MSG_NOSIGNAL = CONSTANTS["MSG_NOSIGNAL"]
_AT_FDCWD = -100
_LOW_HALF = 0xFFFF_FFFF
_LONGEST_ADDRESS = 128
_MOST_VECTORS = 1024
_MOST_MESSAGES = 1024
_MOST_BYTES = 0x7FFF_F000
_LONGEST_CONTROL = 20480
_SOL_SOCKET = 1
_SCM_RIGHTS = 1
_NATIVE_CONTROL = struct.Struct("@Nii")


@dataclass(frozen=True)
class _Message:
    """A message copied from the task. `address` is None where it names no destination."""

    address: bytes | None
    data: bytes
    control: tuple[tuple[int, int, bytes], ...]


class _Refused(Exception):
    """The kernel would refuse these arguments with `number`."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(os.strerror(number))


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
        except _Refused as refused:
            return -refused.number

    def handle(worker: Worker, args: Arguments) -> None:
        identity = worker.view.identity()
        if identity is None:
            worker.answer(act(worker, args))
        else:
            worker.answer(act_as(identity, own_identity(), lambda: act(worker, args)))

    return handle


def _connect(worker: Worker, args: Arguments) -> int:
    address = _read_address(worker, args[1], args[2])
    if address is None:
        return -errno.EFAULT
    path = _path(address)
    if path is not None:
        return _at_path(worker, args, address, path)
    number = worker.decide({"sockaddr": (format_sockaddr(address),)})
    if number:
        return -number
    call = raw.connect if worker.call == "connect" else raw.bind
    with _Duplicate(worker, args[0]) as socket:
        return worker.act(lambda: call(socket, address, len(address)))


def _at_path(worker: Worker, args: Arguments, address: bytes, path: bytes) -> int:
    """connect or bind by path: to the socket, or in the directory, that was judged."""
    binds = worker.call == "bind"
    with resolve(worker.view, _AT_FDCWD, path, follow=not binds, entry=binds) as pinned:
        if not pinned.name:
            return -pinned.errno
        names = (pinned.name,)
        number = worker.decide({"sockaddr": names, "filename": names}, pinned.missing)
        if number or pinned.errno:
            return -(number or pinned.errno)
        with _Duplicate(worker, args[0]) as socket:
            if binds:
                return worker.act(lambda: bind_path(worker.view, socket, pinned, address))
            place = _AF_UNIX.to_bytes(2, "little") + b"/proc/thread-self/fd/%d\0" % pinned.fd
            return worker.act(lambda: raw.connect(socket, place, len(place)))


def _sendto(worker: Worker, args: Arguments) -> int:
    address = _read_address(worker, args[4], args[5]) if args[4] else None
    data = worker.read_bytes(args[1], min(args[2], _MOST_BYTES))
    return _judge_and_send(worker, args[0], _Message(address, data, ()), args[3] & _LOW_HALF)


def _sendmsg(worker: Worker, args: Arguments) -> int:
    return _judge_and_send(worker, args[0], _read_message(worker, args[1]), args[2] & _LOW_HALF)


def _judge_and_send(worker: Worker, register: int, message: _Message, flags: int) -> int:
    with ExitStack() as pins:
        text, pinned = _pinned(worker, message, pins)
        number = worker.decide({"sockaddr": (text,)})
        if number:
            return -number
        with _Duplicate(worker, register) as socket:
            return _send(worker, socket, pinned, flags)


def _sendmmsg(worker: Worker, args: Arguments) -> int:
    header = _header(worker)
    size = header.size + ABIS[worker.abi].pointer_size
    count = min(args[2] & _LOW_HALF, _MOST_MESSAGES)
    places = [args[1] + index * size for index in range(count)]
    messages = [_read_message(worker, place) for place in places]
    with ExitStack() as pins:
        pinned = [_pinned(worker, message, pins) for message in messages]
        number = worker.decide({"sockaddr": tuple(text for text, _ in pinned)})
        if number:
            return -number
        with _Duplicate(worker, args[0]) as socket:
            done = 0
            for place, (_, message) in zip(places, pinned, strict=True):
                sent = _send(worker, socket, message, args[3] & _LOW_HALF)
                if sent < 0:
                    return done or sent
                worker.write_bytes(place + header.size, sent.to_bytes(4, "little"))
                done += 1
            return done


class _Duplicate:
    """The task's socket as a descriptor of ours. Raises _Refused."""

    def __init__(self, worker: Worker, register: int) -> None:
        self._descriptor = worker.duplicate(signed(register))
        if self._descriptor < 0:
            raise _Refused(-self._descriptor)

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _read_address(worker: Worker, address: int, register: int) -> bytes | None:
    length = signed(register)
    if not 0 <= length <= _LONGEST_ADDRESS:
        raise _Refused(errno.EINVAL)
    return worker.read_bytes(address, length) if address else None


def _path(address: bytes) -> bytes | None:
    """The path in the address of a path socket."""
    if len(address) < 3 or int.from_bytes(address[:2], "little") != _AF_UNIX or not address[2]:
        return None
    return address[2:].split(b"\0", 1)[0]


def _pinned(worker: Worker, message: _Message, pins: ExitStack) -> tuple[str | None, _Message]:
    """What rules compare, and the message to the very socket that its path leads to now.

    The text is empty for a message without a destination.
    """
    if message.address is None:
        return "", message
    path = _path(message.address)
    if path is None:
        return format_sockaddr(message.address), message
    pinned = pins.enter_context(resolve(worker.view, _AT_FDCWD, path))
    if not pinned.exists:
        raise _Refused(pinned.errno or errno.ENOENT)
    name = b"/proc/thread-self/fd/%d\0" % pinned.fd
    address = _AF_UNIX.to_bytes(2, "little") + name
    return pinned.name, _Message(address, message.data, message.control)


def _header(worker: Worker) -> struct.Struct:
    """struct msghdr of the task's ABI: name, its length, vectors, control, flags."""
    return struct.Struct("<QI4xQQQQi4x" if ABIS[worker.abi].pointer_size == 8 else "<IIIIIIi")


def _read_message(worker: Worker, address: int) -> _Message:
    header = _header(worker)
    name, length, vectors, count, control, control_size, _ = header.unpack(
        worker.read_bytes(address, header.size)
    )
    if count > _MOST_VECTORS:
        raise _Refused(errno.EMSGSIZE)
    if control_size > _LONGEST_CONTROL:
        raise _Refused(errno.ENOBUFS)
    destination = _read_address(worker, name, min(length, _LONGEST_ADDRESS)) if name else None
    size = ABIS[worker.abi].pointer_size
    words = struct.Struct(f"<{2 * count}{'Q' if size == 8 else 'I'}")
    pairs = words.unpack(worker.read_bytes(vectors, words.size))
    room = _MOST_BYTES
    data = bytearray()
    for place, wanted in zip(pairs[::2], pairs[1::2], strict=True):
        taken = min(wanted, room)
        data += worker.read_bytes(place, taken)
        room -= taken
    raw_control = worker.read_bytes(control, control_size) if control else b""
    return _Message(destination or None, bytes(data), tuple(_control(raw_control, size)))


def _control(data: bytes, size: int) -> list[tuple[int, int, bytes]]:
    """The control messages in `data`, whose size_t has `size` bytes."""
    head = struct.Struct("<Qii" if size == 8 else "<Iii")
    found: list[tuple[int, int, bytes]] = []
    at = 0
    while at + head.size <= len(data):
        length, level, kind = head.unpack_from(data, at)
        if not head.size <= length <= len(data) - at:
            raise _Refused(errno.EINVAL)
        found.append((level, kind, data[at + head.size : at + length]))
        at += length + -length % size
    return found


def _send(worker: Worker, socket: int, message: _Message, flags: int) -> int:
    """Send for the task; what a broken pipe does to it is done to it."""
    descriptors: list[int] = []
    try:
        control = b"".join(_own_control(worker, each, descriptors) for each in message.control)
        result = worker.act(
            lambda: raw.send_message(
                socket, message.address, message.data, control, flags | _MSG_NOSIGNAL
            )
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    if result == -errno.EPIPE and not flags & _MSG_NOSIGNAL:
        raw.signal_thread(worker.view.tgid, worker.tid, signal.SIGPIPE)
    return result


def _own_control(worker: Worker, each: tuple[int, int, bytes], descriptors: list[int]) -> bytes:
    """One control message in our own layout, with duplicates of the descriptors in it."""
    level, kind, body = each
    if (level, kind) == (_SOL_SOCKET, _SCM_RIGHTS):
        numbers = struct.unpack(f"<{len(body) // 4}i", body[: len(body) // 4 * 4])
        own: list[int] = []
        for number in numbers:
            descriptor = worker.duplicate(number)
            if descriptor < 0:
                raise _Refused(-descriptor)
            descriptors.append(descriptor)
            own.append(descriptor)
        body = struct.pack(f"={len(own)}i", *own)
    length = _NATIVE_CONTROL.size + len(body)
    padding = -length % struct.calcsize("N")
    return _NATIVE_CONTROL.pack(length, level, kind) + body + bytes(padding)

"""Raw socket calls on descriptors of the caller: a result, or -errno."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket as library
import struct
import threading

from enforcer.kernel.raw import BUFFER, BYTES, INT, SIZE, raw_call

connect = raw_call("connect", arguments=(INT, BYTES, INT))
bind = raw_call("bind", arguments=(INT, BYTES, INT))
socket = raw_call("socket", arguments=(INT, INT, INT))
_getsockopt = raw_call("getsockopt", arguments=(INT, INT, INT, BUFFER, BUFFER))
_sendto = raw_call("sendto", arguments=(INT, BYTES, SIZE, INT, BYTES, INT))
_sendmsg = raw_call("sendmsg", arguments=(INT, BYTES, INT))
_tgkill = raw_call("tgkill", arguments=(INT, INT, INT))

_MESSAGE = struct.Struct("@PIPNPNi0P")
_VECTOR = struct.Struct("@PN")
_INT = struct.Struct("@i")
_SOL_SOCKET, _SO_TYPE = int(library.SOL_SOCKET), int(library.SO_TYPE)
_DATAGRAM = _INT.pack(library.SOCK_DGRAM)


class _Room(threading.local):
    """Where the current thread has an option's value put, and its size, which stays an int's."""

    def __init__(self) -> None:
        size = _INT.size
        self.both = (
            ctypes.create_string_buffer(size),
            ctypes.create_string_buffer(_INT.pack(size), size),
        )


_room = _Room()


def send_message(
    descriptor: int,
    address: bytes | None,
    data: bytes,
    control: bytes,
    flags: int,
    beyond: int = 0,
) -> int:
    """sendmsg(2) with one buffer. The number of bytes sent, or -errno.

    An address of no bytes is one to sendto(2) alone, which lets the socket judge it. Behind the
    data, or for sendto(2) in its place, are `beyond` bytes that cannot be read.
    """
    if address == b"":
        there = None if beyond else data
        return _sendto(descriptor, there, beyond or len(data), flags, address, 0)
    name = None if address is None else ctypes.create_string_buffer(address, len(address) or 1)
    body = ctypes.create_string_buffer(data, len(data) or 1)
    rest = ctypes.create_string_buffer(control, len(control) or 1)
    parts = _VECTOR.pack(ctypes.addressof(body), len(data)) + _VECTOR.pack(0, beyond)
    vector = ctypes.create_string_buffer(parts)
    message = _MESSAGE.pack(
        0 if name is None else ctypes.addressof(name),
        0 if address is None else len(address),
        ctypes.addressof(vector),
        2 if beyond else 1,
        ctypes.addressof(rest) if control else 0,
        len(control),
        0,
    )
    return _sendmsg(descriptor, message, flags)


def may_wait(descriptor: int) -> bool:
    """Whether connect(2) on a socket may wait for its peer; True when that cannot be found out.

    A datagram socket only notes the address (ip_datagram_connect, unix_dgram_connect).
    """
    value, size = _room.both
    result = _getsockopt(descriptor, _SOL_SOCKET, _SO_TYPE, value, size)
    if result == 0 and value.raw == _DATAGRAM:
        return False
    return not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK


def signal_thread(process: int, thread: int, number: int) -> int:
    """tgkill(2): 0 or -errno."""
    return _tgkill(process, thread, number)

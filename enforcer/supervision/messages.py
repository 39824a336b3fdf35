"""Messages of other tasks: read whole and once from their memory, and sent for them.

Data and control messages are copied too; descriptors in them are duplicated from the sender.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EINVAL, EMSGSIZE, ENOBUFS
from struct import Struct
from typing import TypeVar

from enforcer.kernel import procfs
from enforcer.syscalls.arguments import LOW_HALF, Header
from enforcer.syscalls.constants import CONSTANTS
from enforcer.syscalls.memory import Memory, Refused, UnreadableMemory

_UNIX_FAMILY = CONSTANTS["AF_UNIX"].to_bytes(2, sys.byteorder)
_LONGEST_UNIX_ADDRESS = 110
_MOST_VECTORS = 1024
_MOST_BYTES = 64 << 20
"""So much of a message is copied: more than any datagram may have (EMSGSIZE is then the kernel's to
say), and a stream takes the rest by another call. A target must not make its supervisor hold 2 GiB.
"""
_MOST_SENT = 0x7FFF_F000
"""MAX_RW_COUNT: no call takes more (import_iovec)."""
_LONGEST_CONTROL = 1 << 20
"""More than a socket has room for (net.core.optmem_max), which the kernel itself says then."""
_CMSG_COMPAT = 0x8000_0000
_SOL_SOCKET = 1
_SCM_RIGHTS = 1
_NATIVE_CONTROL = Struct("@Nii")

_CONTROLS = {8: Struct("=Qii"), 4: Struct("=Iii")}

Read = TypeVar("Read")

ControlMessage = tuple[int, int, bytes | None]
"""Its level, its kind, and what is in it; None in one whose length is wrong."""

Duplicate = Callable[[int], int]
"""A descriptor of the task's as one of ours, or -errno."""


@dataclass(frozen=True)
class Message:
    """A message copied from a task. `address` is None where it names no destination.

    `beyond` bytes behind the data cannot be read: what a send says of them is for the kernel to
    tell, which may look at their number, the address and the socket first (EMSGSIZE, EISCONN).
    """

    address: bytes | None
    data: bytes
    control: tuple[ControlMessage, ...]
    beyond: int = 0


def path_of(address: bytes) -> bytes | None:
    """The path in the address of a path socket; None in any other.

    A longer address than a struct sockaddr_un is none (unix_validate_addr).
    """
    if not 3 <= len(address) <= _LONGEST_UNIX_ADDRESS or not address[2]:
        return None
    if address[:2] != _UNIX_FAMILY:
        return None
    return address[2:].split(b"\0", 1)[0]


def address_of(descriptor: int) -> bytes:
    """The address by which this process reaches the very socket that it has pinned."""
    return _UNIX_FAMILY + procfs.path_of(descriptor) + b"\0"


def flags_of(call: str, register: int, pointer_size: int) -> int:
    """The flags of a task's send, for a sendmsg(2) of ours.

    That one alone refuses MSG_CMSG_COMPAT (__sys_sendmsg); a 32-bit one sets it by itself.
    """
    flags = register & LOW_HALF
    return flags & ~_CMSG_COMPAT if call == "sendto" or pointer_size == 4 else flags


def read_content(memory: Memory, header: Header, pointer_size: int) -> Message:
    """A message without its address. Raises Refused, UnreadableMemory."""
    if header.vector_count > _MOST_VECTORS:
        raise Refused(EMSGSIZE)
    if header.control_length > _LONGEST_CONTROL:
        raise Refused(ENOBUFS)
    words = Struct(f"={2 * header.vector_count}{'Q' if pointer_size == 8 else 'I'}")
    pairs = words.unpack(memory.read_bytes(header.vectors, words.size))
    if any(length >> (8 * pointer_size - 1) for length in pairs[1::2]):
        raise Refused(EINVAL)  # as a ssize_t it is negative (copy_iovec_from_user)
    raw = memory.read_bytes(header.control, header.control_length)
    control = tuple(_control(raw, _CONTROLS[pointer_size], pointer_size))
    data = bytearray()
    try:
        for place, wanted in zip(pairs[::2], pairs[1::2], strict=True):
            data += memory.read_bytes(place, min(wanted, _MOST_BYTES - len(data)))
    except UnreadableMemory:
        rest = min(sum(pairs[1::2]), _MOST_SENT) - len(data)
        return Message(None, bytes(data), control, rest)
    return Message(None, bytes(data), control)


def readable(reads: Iterable[Callable[[], Read]]) -> Iterator[Read]:
    """The messages of a sendmmsg up to the first that cannot be read, or has no such address.

    What is sent before that one is the result (__sys_sendmmsg); the first of all raises.
    """
    for found, read in enumerate(reads):
        try:
            yield read()
        except (Refused, UnreadableMemory):
            if not found:
                raise
            return


def read_plain(memory: Memory, address: int, size: int) -> Message:
    """The message of a sendto without its address: all of its data can be read, or none."""
    try:
        return Message(None, memory.read_bytes(address, min(size, _MOST_BYTES)), ())
    except UnreadableMemory:
        return Message(None, b"", (), min(size, _MOST_SENT))


def _control(data: bytes, head: Struct, size: int) -> list[ControlMessage]:
    """The control messages in `data`, whose size_t has `size` bytes. Raises Refused.

    A wrong length in one of 32 bits is found before the socket is asked
    (cmsghdr_from_user_compat_to_kern), one of 64 bits by the socket, in its own order.
    """
    found: list[ControlMessage] = []
    at = 0
    while at + head.size <= len(data):
        length, level, kind = head.unpack_from(data, at)
        if not head.size <= length <= len(data) - at:
            if size == 4:
                raise Refused(EINVAL)
            found.append((level, kind, None))
            break
        found.append((level, kind, data[at + head.size : at + length]))
        at += length + -length % size
    return found


@contextmanager
def own_control(control: Sequence[ControlMessage], duplicate: Duplicate | None) -> Iterator[bytes]:
    """Control messages in our own layout, with duplicates of the descriptors in them.

    The duplicates are closed at the end of the `with`. None: no socket that looks at descriptors,
    which only those of AF_UNIX do (__scm_send). Raises Refused.
    """
    descriptors: list[int] = []
    try:
        yield b"".join(_translated(each, duplicate, descriptors) for each in control)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _translated(each: ControlMessage, duplicate: Duplicate | None, descriptors: list[int]) -> bytes:
    level, kind, body = each
    if body is None:
        return _NATIVE_CONTROL.pack(0, level, kind)
    if (level, kind) == (_SOL_SOCKET, _SCM_RIGHTS) and duplicate is None:
        body = b"\xff" * len(body)
    elif (level, kind) == (_SOL_SOCKET, _SCM_RIGHTS) and duplicate is not None:
        numbers = struct.unpack(f"={len(body) // 4}i", body[: len(body) // 4 * 4])
        own: list[int] = []
        for number in numbers:
            descriptor = duplicate(number)
            if descriptor < 0:
                raise Refused(-descriptor)
            descriptors.append(descriptor)
            own.append(descriptor)
        body = struct.pack(f"={len(own)}i", *own)
    length = _NATIVE_CONTROL.size + len(body)
    padding = -length % struct.calcsize("N")
    return _NATIVE_CONTROL.pack(length, level, kind) + body + bytes(padding)

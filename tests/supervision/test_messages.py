"""Messages are read whole and once, as the kernel would read them, or refused with its errno."""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import replace

import pytest

from enforcer.kernel.sockets import send_message
from enforcer.supervision.messages import Message, own_control, path_of, read_content, read_plain
from enforcer.syscalls.arguments import header_struct, read_destination, read_header
from enforcer.syscalls.memory import PATH_MAX, Refused, UnreadableMemory


class Ranges:
    """A memory of ranges by address."""

    def __init__(self, memory: dict[int, bytes]) -> None:
        self.memory = memory

    def read_bytes(self, address: int, size: int) -> bytes:
        if size and address not in self.memory:
            raise UnreadableMemory(address)
        return self.memory[address][:size] if size else b""

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes:
        return self.memory[address].split(b"\0", 1)[0]


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (b"\1\0/a/b\0", b"/a/b"),
        (b"\1\0/a/b", b"/a/b"),
        (b"\1\0a\0b", b"a"),
        (b"\1\0\0a", None),
        (b"\1\0", None),
        (b"\2\0/a", None),
        (b"", None),
    ],
)
def test_paths_in_addresses(address: bytes, path: bytes | None) -> None:
    """Up to the first zero byte; unnamed and abstract sockets have none."""
    assert path_of(address) == path


@pytest.mark.parametrize(("size", "length"), [(8, 56), (4, 28)])
def test_headers_of_both_widths(size: int, length: int) -> None:
    """struct msghdr, and its form for 32 bits."""
    assert header_struct(size).size == length
    fields = (0x10, 5, 0x20, 2, 0x30, 7, 0x40)
    packed = header_struct(size).pack(*fields)
    assert tuple(read_header(Ranges({1: packed}), 1, size)) == fields


@pytest.mark.parametrize(
    ("name", "length", "found"),
    [
        (0, 16, None),
        (0x10, 0, None),
        (0x10, 3, b"xxx"),
        (0x10, 128, b"x" * 128),
        (0x10, 129, b"x" * 128),
        (0x10, 1 << 30, b"x" * 128),
        (0x10, 0x8000_0000, errno.EINVAL),
        (0x10, 0xFFFF_FFFF, errno.EINVAL),
    ],
)
def test_destinations(name: int, length: int, found: bytes | int | None) -> None:
    """At most sizeof(struct sockaddr_storage), as ___sys_sendmsg has it; no negative length."""
    packed = header_struct(8).pack(name, length, 0, 0, 0, 0, 0)
    read = Ranges({1: packed, 0x10: b"x" * 200})
    header = read_header(read, 1, 8)
    if isinstance(found, int):
        with pytest.raises(Refused) as refused:
            read_destination(read, header)
        assert refused.value.number == found
    else:
        assert read_destination(read, header) == found


@pytest.mark.parametrize("size", [8, 4])
def test_parts_and_control(size: int) -> None:
    """Parts in order, control messages one by one with their padding."""
    word = "Q" if size == 8 else "I"
    vectors = struct.pack(f"={6}{word}", 0x100, 2, 0x200, 0, 0x300, 3)
    head = struct.Struct(f"={word}ii")
    first = head.pack(head.size + 1, 41, 1) + b"a"
    first += bytes(-len(first) % size)
    control = first + head.pack(head.size + 4, 42, 2) + b"bcde"
    memory = {0x10: vectors, 0x100: b"ab!!", 0x200: b"", 0x300: b"cdef", 0x20: control}
    header = read_header(
        Ranges({1: header_struct(size).pack(0, 0, 0x10, 3, 0x20, len(control), 0)}), 1, size
    )
    found = read_content(Ranges(memory), header, size)
    assert found == Message(None, b"abcde", ((41, 1, b"a"), (42, 2, b"bcde")))
    del memory[0x300]
    assert read_content(Ranges(memory), header, size) == replace(found, data=b"ab", beyond=3)


@pytest.mark.parametrize(
    ("count", "control", "expected"),
    [(1025, 0, errno.EMSGSIZE), (0, (1 << 20) + 1, errno.ENOBUFS), (1 << 40, 0, errno.EMSGSIZE)],
)
def test_too_much_is_refused(count: int, control: int, expected: int) -> None:
    """UIO_MAXIOV parts, and more control than sysctl_optmem_max leaves anywhere."""
    header = read_header(Ranges({1: header_struct(8).pack(0, 0, 0, count, 0x20, control, 0)}), 1, 8)
    with pytest.raises(Refused) as refused:
        read_content(Ranges({0: b"", 0x20: bytes(control)}), header, 8)
    assert refused.value.number == expected


@pytest.mark.parametrize("length", [0, 15, 18, 1 << 40])
@pytest.mark.parametrize("size", [8, 4])
def test_control_of_a_wrong_length_is_refused(length: int, size: int) -> None:
    """Shorter than its head, or longer than there is (CMSG_OK): of 64 bits by the kernel itself."""
    control = struct.pack("=Qii" if size == 8 else "=Iii", length & 0xFFFF_FFFF, 1, 1) + b"x"
    header = read_header(
        Ranges({1: header_struct(size).pack(0, 0, 0, 0, 0x20, len(control), 0)}), 1, size
    )
    memory = Ranges({0: b"", 0x20: control})
    if size == 4:
        with pytest.raises(Refused) as refused:
            read_content(memory, header, size)
        assert refused.value.number == errno.EINVAL
        return
    first, second = socket.socketpair()
    with first, second, own_control(read_content(memory, header, size).control, os.dup) as own:
        assert send_message(first.fileno(), None, b"x", own, 0) == -errno.EINVAL


def test_no_more_than_a_supervisor_can_hold() -> None:
    """64 MiB of a sendto, though the kernel takes 2 GiB (MAX_RW_COUNT)."""
    asked: list[int] = []

    class Asked(Ranges):
        def read_bytes(self, address: int, size: int) -> bytes:
            asked.append(size)
            return b""

    read_plain(Asked({}), 0, 1 << 40)
    assert asked == [64 << 20]


def test_descriptors_become_ours_and_are_closed() -> None:
    """SCM_RIGHTS names duplicates, which end with the message; other control is left as it is."""
    made: list[int] = []

    def duplicate(descriptor: int) -> int:
        made.append(os.dup(descriptor))
        return made[-1]

    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=2i", 0, 1))
    other = (socket.SOL_SOCKET, socket.SCM_RIGHTS + 77, struct.pack("=i", 0))
    with own_control((rights, other), duplicate) as control:
        lengths = struct.unpack_from("@Nii2i", control)
        assert lengths == (24, socket.SOL_SOCKET, socket.SCM_RIGHTS, *made)
        assert struct.unpack_from("@Niii", control, 24)[-1] == 0
        assert all(os.fstat(each) for each in made)
    for each in made:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(each)


def test_descriptors_of_a_socket_that_takes_none_are_none_of_ours() -> None:
    """Sockets of other families than AF_UNIX do not look at the numbers."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=2i", 0, 1))
    with own_control((rights,), None) as control:
        assert struct.unpack_from("@Nii2i", control)[3:] == (-1, -1)


def test_a_descriptor_that_is_none_refuses_the_message() -> None:
    """With the errno of its duplication, and those made before are closed."""
    made = [os.dup(0), -errno.EBADF]
    kept = made[0]
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=2i", 0, 99))
    with pytest.raises(Refused) as refused, own_control((rights,), lambda _: made.pop(0)):
        pytest.fail("no control for a wrong descriptor")
    assert refused.value.number == errno.EBADF
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(kept)

"""process_vm_readv(2) and process_vm_writev(2) on one range.

Both may block for as long as a page of the other task needs to come (userfaultfd, FUSE); only a
fatal signal ends that wait.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable
from errno import EFAULT

from enforcer.kernel.raw import SIZE, fixed, untyped

PAGE = 4096  # the smallest page of any supported machine: a finer cut of a range does no harm

_NONE, _ONE = fixed(SIZE, 0), fixed(SIZE, 1)
_END = 1 << struct.calcsize("P") * 8


def new_buffer(content: int | bytes) -> ctypes.Array[ctypes.c_char]:
    """Memory of ours: so many zero bytes, or just these bytes without a NUL after them."""
    if isinstance(content, int):
        return ctypes.create_string_buffer(content)
    return ctypes.create_string_buffer(content, len(content))


address_of = ctypes.addressof


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.buffer = new_buffer(PAGE)


_buffers = _Buffers()


def _ranges(address: int, size: int) -> tuple[bytes, int]:
    """The range as iovecs that end at page ends, so that a hole costs only what lies behind it."""
    end = address + size
    words: list[int] = []
    while address < end:
        upto = min((address // PAGE + 1) * PAGE, end)
        words += (address, upto - address)
        address = upto
    return struct.pack(f"{len(words)}N", *words), len(words) // 2


def _bind(name: str) -> Callable[[int, int, int, int], int]:
    function = untyped(name)
    pack_pair = struct.Struct("NN").pack

    def transfer(pid: int, address: int, buffer: int, size: int) -> int:
        """Bytes moved from the range's start up to the first hole, or -errno."""
        if address < 0 or address + size > _END:
            return -EFAULT
        local = pack_pair(buffer, size)
        if address % PAGE + size <= PAGE:
            remote = pack_pair(address, size)
            result = function(pid, local, _ONE, remote, _ONE, _NONE)
        else:
            remote, count = _ranges(address, size)
            result = function(pid, local, _ONE, remote, SIZE(count), _NONE)
        return result if result >= 0 else -ctypes.get_errno()

    return transfer


_MOST_TEXT = 256


class _Text(threading.local):
    """Room for a short text. `both`: the iovec of all of it and the text, by one look."""

    def __init__(self) -> None:
        self.content = new_buffer(_MOST_TEXT)
        self.view = memoryview(self.content).cast("B")
        self.address = address_of(self.content)
        self.both = struct.pack("NN", self.address, _MOST_TEXT), self.content


_text = _Text()


def _bind_text() -> Callable[[int, int], bytes | None]:
    function = untyped("process_vm_readv")
    pack_pair = struct.Struct("NN").pack

    def read_text(pid: int, address: int) -> bytes | None:
        """The string at `address`, where it ends within 256 bytes and its page; None: it may not.

        In one call without a look at anything else, for it is most of what a supervisor reads.
        """
        room = PAGE - address % PAGE
        if address < 0 or address + room > _END:
            return None
        remote = pack_pair(address, room if room < _MOST_TEXT else _MOST_TEXT)
        vector, content = _text.both
        size = function(pid, vector, _ONE, remote, _ONE, _NONE)
        if size <= 0:
            return None
        found: bytes = content.value
        return found if len(found) < size else None

    return read_text


def _bind_read_short() -> Callable[[int, int, int], bytes | None]:
    function = untyped("process_vm_readv")
    pack_pair = struct.Struct("NN").pack

    def read_short(pid: int, address: int, size: int) -> bytes | None:
        """Exactly `size` bytes, at most 256 that lie in one page; None: not so, or unreadable."""
        if not 0 < size <= _MOST_TEXT or address % PAGE + size > PAGE or not 0 <= address < _END:
            return None
        vector, content = _text.both
        if function(pid, vector, _ONE, pack_pair(address, size), _ONE, _NONE) != size:
            return None
        found: bytes = content.raw[:size]
        return found

    return read_short


def _bind_write_short() -> Callable[[int, int, bytes], bool]:
    function = untyped("process_vm_writev")
    pack_pair = struct.Struct("NN").pack

    def write_short(pid: int, address: int, data: bytes) -> bool:
        """Whether all of `data` was written: at most 256 bytes that lie in one page."""
        size = len(data)
        if size > _MOST_TEXT or address % PAGE + size > PAGE or not 0 <= address < _END:
            return False
        text = _text
        text.view[:size] = data
        local, remote = pack_pair(text.address, size), pack_pair(address, size)
        return function(pid, local, _ONE, remote, _ONE, _NONE) == size

    return write_short


read_text = _bind_text()
read_short = _bind_read_short()
write_short = _bind_write_short()
read_memory = _bind("process_vm_readv")
write_memory = _bind("process_vm_writev")

_MOST = 1023 * PAGE  # with an odd start 1024 iovecs (UIO_MAXIOV)


def read_range(pid: int, address: int, size: int) -> bytes | int:
    """What can be read of a range from its start on, up to the first hole; -errno for nothing."""
    if size > _MOST:
        first = read_range(pid, address, _MOST)
        if isinstance(first, int) or len(first) < _MOST:
            return first
        rest = read_range(pid, address + _MOST, size - _MOST)
        return first if isinstance(rest, int) else first + rest
    buffer = _buffers.buffer if size <= PAGE else new_buffer(size)
    result = read_memory(pid, address, address_of(buffer), size)
    return ctypes.string_at(buffer, result) if result >= 0 else result

"""A target's memory is read byte by byte as the kernel would, or not at all."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from errno import EFAULT, ENAMETOOLONG

import pytest

from enforcer.supervision.memory import (
    BoundedReader,
    UnreadableMemory,
    read_bytes,
    read_string,
    write_bytes,
)

PAGE = 4096

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


@pytest.fixture
def pages() -> Iterator[int]:
    """The address of three pages with a hole behind them."""
    address = int(libc.mmap(None, 4 * PAGE, 3, 0x22, -1, 0))
    libc.munmap(address + 3 * PAGE, PAGE)
    yield address
    libc.munmap(address, 3 * PAGE)


@pytest.mark.parametrize("length", [0, 1, 33, 255, 256, 257, 4094, 4095])
def test_a_string_that_ends_with_its_page(pages: int, length: int) -> None:
    """The last byte before unmapped memory is read, whatever the length."""
    text = b"x" * length
    address = pages + 3 * PAGE - length - 1
    ctypes.memmove(address, text + b"\0", length + 1)
    assert read_string(os.getpid(), address) == text


@pytest.mark.parametrize("offset", [0, 1, 100, PAGE - 1])
@pytest.mark.parametrize("length", [0, 300, 4095])
def test_a_string_across_pages(pages: int, offset: int, length: int) -> None:
    """Where a string starts in its page makes no difference."""
    text = bytes(1 + n % 255 for n in range(length))
    ctypes.memmove(pages + offset, text + b"\0", length + 1)
    assert read_string(os.getpid(), pages + offset) == text


def test_a_string_without_an_end(pages: int) -> None:
    """PATH_MAX bytes without a zero are too long, as for the kernel."""
    ctypes.memset(pages, 0x78, 3 * PAGE)
    with pytest.raises(UnreadableMemory) as caught:
        read_string(os.getpid(), pages)
    assert caught.value.errno == ENAMETOOLONG


def test_a_string_that_runs_into_a_hole(pages: int) -> None:
    """No end before unmapped memory: EFAULT, not a part of it."""
    ctypes.memset(pages, 0x78, 3 * PAGE)
    with pytest.raises(UnreadableMemory) as caught:
        read_string(os.getpid(), pages + 3 * PAGE - 10)
    assert caught.value.errno == EFAULT


@pytest.mark.parametrize("address", [0, 1, (1 << 64) - 1, (1 << 64) - PAGE, 1 << 63, -1])
def test_addresses_that_nothing_has(address: int) -> None:
    """Wild pointers are EFAULT, also those that wrap."""
    with pytest.raises(UnreadableMemory) as caught:
        read_string(os.getpid(), address)
    assert caught.value.errno == EFAULT
    with pytest.raises(UnreadableMemory):
        read_bytes(os.getpid(), address, 64)


def test_a_limit_is_kept(pages: int) -> None:
    """What lies behind the limit is not read."""
    ctypes.memmove(pages, b"abcdef\0", 7)
    assert read_string(os.getpid(), pages, 7) == b"abcdef"
    with pytest.raises(UnreadableMemory):
        read_string(os.getpid(), pages, 6)


def test_bytes_are_all_or_nothing(pages: int) -> None:
    """A range with a hole in it is not read in part; a whole one comes back exactly."""
    data = os.urandom(3 * PAGE)
    write_bytes(os.getpid(), pages, data)
    assert read_bytes(os.getpid(), pages, 3 * PAGE) == data
    assert read_bytes(os.getpid(), pages, 0) == b""
    with pytest.raises(UnreadableMemory):
        read_bytes(os.getpid(), pages, 3 * PAGE + 1)
    with pytest.raises(UnreadableMemory):
        write_bytes(os.getpid(), pages + PAGE, bytes(2 * PAGE + 1))


@pytest.mark.parametrize("before", [0, 1, 100, PAGE])
@pytest.mark.parametrize("size", [1, 144, 255, 256, 257])
def test_bytes_at_the_end_of_a_page(pages: int, size: int, before: int) -> None:
    """Short ranges too are written whole and read exactly, and end where memory ends."""
    data = os.urandom(size)
    address = pages + 3 * PAGE - before - size
    write_bytes(os.getpid(), address, data)
    assert ctypes.string_at(address, size) == data
    assert read_bytes(os.getpid(), address, size) == data
    for missing in (pages + 3 * PAGE - size + 1, pages + 3 * PAGE):
        with pytest.raises(UnreadableMemory):
            read_bytes(os.getpid(), missing, size)
        with pytest.raises(UnreadableMemory):
            write_bytes(os.getpid(), missing, data)


def test_memory_that_only_its_owner_can_read() -> None:
    """memfd_secret pages, which the kernel itself could read, fail closed."""
    fd = libc.syscall(447, 0)
    if fd < 0:
        pytest.skip("no memfd_secret here")
    os.ftruncate(fd, PAGE)
    address = int(libc.mmap(None, PAGE, 3, 1, fd, 0))
    ctypes.memmove(address, b"/etc\0", 5)
    with pytest.raises(UnreadableMemory) as caught:
        read_string(os.getpid(), address)
    assert caught.value.errno == EFAULT
    libc.munmap(address, PAGE)
    os.close(fd)


_UFFD_API = 0xC018AA3F
_UFFD_REGISTER = 0xC020AA00


def test_a_read_that_stalls_ends_in_time(pages: int) -> None:
    """A page that never comes costs the bounded reader its limit, and the next read works."""
    fd = libc.syscall(323, 0o2000000)
    if fd < 0:
        pytest.skip("no userfaultfd here")
    stalled = int(libc.mmap(None, PAGE, 3, 0x22, -1, 0))
    api = (ctypes.c_uint64 * 3)(0xAA, 0, 0)
    register = (ctypes.c_uint64 * 4)(stalled, PAGE, 1, 0)
    assert libc.ioctl(fd, ctypes.c_ulong(_UFFD_API), api) == 0
    assert libc.ioctl(fd, ctypes.c_ulong(_UFFD_REGISTER), register) == 0
    ctypes.memmove(pages, b"fine\0", 5)
    reader = BoundedReader(limit_s=0.05, most_stalled=1)
    try:
        with pytest.raises(UnreadableMemory) as caught:
            reader.read_string(os.getpid(), stalled)
        assert caught.value.errno == EFAULT
        with pytest.raises(UnreadableMemory):
            reader.read_string(os.getpid(), pages)  # too many are stalled
    finally:
        os.close(fd)  # lets the stalled page come
    while True:
        try:
            assert reader.read_string(os.getpid(), pages) == b"fine"
        except UnreadableMemory:
            continue
        break
    reader.close()

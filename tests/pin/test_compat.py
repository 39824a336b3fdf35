"""Structs of the 32-bit ABI are filled in as its own calls fill them in."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from enforcer.pin import View, perform
from enforcer.syscalls import number
from tests.pin.target import build_tree

_MAP_32BIT = 0x40
_STUB = bytes.fromhex(
    "53 55 4989fa 418b02 418b5a04 418b4a08 418b520c 418b7210 418b7a14 cd80 5d 5b c3"
)
"""A function of one argument, an array of number and five registers, that makes `int 0x80`."""

pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64" or not Path("/proc/sys/abi").exists(),
    reason="needs a kernel that serves int 0x80",
)


class LowMemory:
    """Pages under 4 GiB: the stub, then arguments, then results."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        address = libc.mmap(None, 1 << 16, 7, 0x22 | _MAP_32BIT, -1, 0)
        assert address is not None
        assert address < 1 << 32
        self.address = int(address)
        ctypes.memmove(self.address, _STUB, len(_STUB))
        self.function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self.address)
        self.output = self.address + (1 << 15)

    def put(self, data: bytes, offset: int = 0) -> int:
        ctypes.memmove(self.address + 4096 + offset, data, len(data))
        return self.address + 4096 + offset

    def call(self, name: str, args: Sequence[int]) -> int:
        nr = number("i386", name)
        assert nr is not None
        words = [nr, *args, *[0] * (5 - len(args))]
        array = (ctypes.c_uint32 * 6)(*(word & 0xFFFF_FFFF for word in words))
        return int(self.function(ctypes.addressof(array)))

    def results(self) -> bytes:
        return ctypes.string_at(self.output, 512)

    def clear(self, call: str) -> None:
        """Fill the room for results; the kernel leaves the padding of stat64 as it was."""
        ctypes.memset(self.output, 0x55, 512)
        if call in ("stat64", "lstat64", "fstatat64"):
            ctypes.memset(self.output, 0, 96)


@pytest.fixture(scope="module")
def memory() -> LowMemory:
    return LowMemory()


def _permit(_names: tuple[str, ...], _missing: int) -> int:
    return 0


@pytest.mark.parametrize("name", ["file", "to_file", "dir", "fifo", "dangling", "/dev/null", "/"])
@pytest.mark.parametrize(
    "call",
    [
        "oldstat",
        "oldlstat",
        "stat",
        "lstat",
        "stat64",
        "lstat64",
        "fstatat64",
        "statx",
        "statfs",
        "statfs64",
        "readlink",
    ],
)
def test_an_i386_result(memory: LowMemory, tmp_path: Path, call: str, name: str) -> None:
    """Result and every byte written equal those of the call made by int 0x80."""
    build_tree(tmp_path)
    text = memory.put(os.fsencode(tmp_path / name) + b"\0")
    out = memory.output
    args: tuple[int, ...] = (text, out)
    match call:
        case "fstatat64":
            args = (-100, text, out, 0x100)
        case "statx":
            args = (-100, text, 0x100, 0x7FF, out)
        case "statfs64":
            args = (text, 84, out)
        case "readlink":
            args = (text, out, 100)
    # The upper halves of the registers mean nothing to a 32-bit call.
    registers = [value & 0xFFFF_FFFF | 0xDEAD << 32 for value in (*args, *[0] * (6 - len(args)))]
    view = View(os.getpid(), os.getpid(), fixed_root=True, fixed_credentials=True)

    def real() -> tuple[int, bytes]:
        memory.clear(call)
        return memory.call(call, args), memory.results()

    before = real()
    while True:
        memory.clear(call)
        performed = perform(view, "i386", call, registers, _permit), memory.results()
        after = real()
        if before == after:  # else others used the file system's room meanwhile
            break
        before = after
    assert performed == before


@pytest.mark.parametrize(
    ("call", "data", "seconds"),
    [
        ("utime", (5).to_bytes(4, "little") + (6).to_bytes(4, "little"), (5, 6)),
        ("utimes", b"".join(n.to_bytes(4, "little") for n in (5, 1, 6, 2)), (5, 6)),
    ],
)
def test_i386_times(
    memory: LowMemory, tmp_path: Path, call: str, data: bytes, seconds: tuple[int, int]
) -> None:
    """Times are read in the 32-bit layout."""
    build_tree(tmp_path)
    text = memory.put(os.fsencode(tmp_path / "file") + b"\0")
    times = memory.put(data, 1024)
    view = View(os.getpid(), os.getpid(), fixed_root=True, fixed_credentials=True)
    assert perform(view, "i386", call, (text, times, 0, 0, 0, 0), _permit) == 0
    facts = (tmp_path / "file").stat()
    assert (int(facts.st_atime), int(facts.st_mtime)) == seconds


def test_i386_times_of_64_bits(memory: LowMemory, tmp_path: Path) -> None:
    """The upper halves of nanoseconds count for nothing (get_timespec64)."""
    build_tree(tmp_path)
    text = memory.put(os.fsencode(tmp_path / "file") + b"\0")
    times = memory.put(struct.pack("=4q", 5, 0xDEAD << 32 | 7, 6, 0xBEEF << 32 | 8), 1024)
    view = View(os.getpid(), os.getpid(), fixed_root=True, fixed_credentials=True)
    args = (-100 & 0xFFFF_FFFF, text, times, 0, 0, 0)
    assert perform(view, "i386", "utimensat_time64", args, _permit) == 0
    facts = (tmp_path / "file").stat()
    assert (facts.st_atime_ns, facts.st_mtime_ns) == (5_000_000_007, 6_000_000_008)


def test_i386_truncate64_takes_two_registers(memory: LowMemory, tmp_path: Path) -> None:
    """A length over 32 bits comes from both registers."""
    build_tree(tmp_path)
    text = memory.put(os.fsencode(tmp_path / "file") + b"\0")
    view = View(os.getpid(), os.getpid(), fixed_root=True, fixed_credentials=True)
    assert perform(view, "i386", "truncate64", (text, 5, 1, 0, 0, 0), _permit) == 0
    assert (tmp_path / "file").stat().st_size == (1 << 32) + 5

"""What registers point to, decoded by the model from a memory of bytes."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from errno import E2BIG, EFAULT, EINVAL

import pytest

from enforcer.syscalls.arguments import (
    AT_FDCWD,
    LONGEST_ADDRESS,
    LONGEST_ARGUMENT,
    MOST_ARGUMENT_BYTES,
    MOST_ARGUMENTS,
    MOST_MESSAGES,
    Name,
    follows_open,
    message_places,
    open_how,
    read_address,
    read_open_how,
    read_strings,
    read_texts,
    register_texts,
)
from enforcer.syscalls.memory import PATH_MAX, ReadOnce, Refused, UnreadableMemory

CWD = AT_FDCWD & (1 << 64) - 1
INET = struct.pack("=H", 2) + struct.pack(">H", 80) + bytes([192, 0, 2, 1]) + bytes(8)


class Bytes:
    """Ranges of a memory by address; all else is not mapped. Counts what is read."""

    def __init__(self, ranges: Mapping[int, bytes]) -> None:
        self.ranges = ranges
        self.reads = 0

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes:
        self.reads += 1
        if address not in self.ranges:
            raise UnreadableMemory(address)
        return self.ranges[address].split(b"\0", 1)[0]

    def read_bytes(self, address: int, size: int) -> bytes:
        self.reads += 1
        for start, data in self.ranges.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise UnreadableMemory(address)


def spelled(name: Name) -> tuple[str, bool]:
    """A name with what the kernel is told of it."""
    marks = [word for word in ("follow", "entry", "empty") if getattr(name, word)]
    return f"{name.dirfd}:{os.fsdecode(name.text)}:{'+'.join(marks)}", False


@pytest.mark.parametrize(
    ("call", "args", "texts"),
    [
        ("openat", (CWD, 1, 0), ["-100:a:follow"]),
        ("openat", (7, 1, os.O_NOFOLLOW), ["7:a:"]),
        ("openat", (CWD, 1, os.O_CREAT | os.O_EXCL), ["-100:a:"]),
        ("openat", (CWD, 99, 0), [None]),
        ("open", (1, 0), ["-100:a:follow"]),
        ("unlinkat", (3, 1, 0), ["3:a:entry"]),
        ("renameat2", (3, 1, CWD, 2, 0), ["3:a:entry", "-100:b:entry"]),
        ("linkat", (3, 1, 4, 2, 0), ["3:a:", "4:b:entry"]),
        ("linkat", (3, 1, 4, 2, 0x400), ["3:a:follow", "4:b:entry"]),
        ("newfstatat", (3, 1, 0, 0x100), ["3:a:"]),
        ("newfstatat", (3, 1, 0, 0x1000), ["3:a:follow+empty"]),
        ("utimensat", (3, 0, 0, 0), ["3::follow+empty"]),
        ("open_by_handle_at", (3, 1, 0), [None]),
    ],
)
def test_names_are_walked_as_the_call_would(
    call: str, args: tuple[int, ...], texts: list[str | None]
) -> None:
    """Directory, following, entry or object, empty names: from registers and flags."""
    memory = Bytes({1: b"a\0", 2: b"b\0"})
    registers = (*args, 0, 0, 0, 0, 0, 0)[:6]
    found, missing = read_texts(memory, spelled, call, "x86_64", registers)
    assert (found["filename"], missing) == (texts, 0)


@pytest.mark.parametrize(
    ("abi", "header"),
    [
        ("x86_64", struct.pack("=QI4xQQQQi4x", 0x100, len(INET), 0, 0, 0, 0, 0)),
        ("i386", struct.pack("=IIIIIIi", 0x100, len(INET), 0, 0, 0, 0, 0)),
    ],
)
def test_addresses_are_read_level_by_level(abi: str, header: bytes) -> None:
    """sendmsg has its address behind a header, sendmmsg one behind each of several headers."""
    size = 8 if abi == "x86_64" else 4
    one = header + bytes(size)
    none = bytes(len(one))
    memory = Bytes({0x100: INET, 0x200: one + none + one})
    texts, _ = read_texts(memory, spelled, "sendmsg", abi, (3, 0x200, 0, 0, 0, 0))
    assert texts["sockaddr"] == ["inet-[192.0.2.1]:80"]
    texts, _ = read_texts(memory, spelled, "sendmmsg", abi, (3, 0x200, 3, 0, 0, 0))
    assert texts["sockaddr"] == ["inet-[192.0.2.1]:80", "", "inet-[192.0.2.1]:80"]
    assert [*message_places(0x200, 3, size)] == [0x200 + len(one) * place for place in range(3)]
    huge = Bytes({0x200: bytes(len(one) * (MOST_MESSAGES + 5))})
    texts, _ = read_texts(huge, spelled, "sendmmsg", abi, (3, 0x200, 1 << 31, 0, 0, 0))
    assert len(texts["sockaddr"]) == MOST_MESSAGES


@pytest.mark.parametrize(
    ("length", "outcome"),
    [(16, INET), (0, b""), (LONGEST_ADDRESS + 1, EINVAL), (0xFFFF_FFFF, EINVAL), (17, EFAULT)],
)
def test_the_length_of_an_address_is_an_int(length: int, outcome: bytes | int) -> None:
    """Negative and too long ones are the kernel's EINVAL, what lies beyond memory is EFAULT."""
    memory = Bytes({0x100: INET})
    if isinstance(outcome, bytes):
        assert read_address(memory, 0x100, length) == outcome
    elif outcome == EINVAL:
        with pytest.raises(Refused) as refused:
            read_address(memory, 0x100, length)
        assert refused.value.number == EINVAL
    else:
        with pytest.raises(UnreadableMemory) as unreadable:
            read_address(memory, 0x100, length)
        assert unreadable.value.errno == EFAULT


@pytest.mark.parametrize(
    ("size", "tail", "outcome"),
    [(24, b"", 0), (23, b"", EINVAL), (32, bytes(8), 0), (32, b"\1" + bytes(7), E2BIG)],
)
def test_open_how_grows_as_the_kernel_lets_it(size: int, tail: bytes, outcome: int) -> None:
    """Shorter than the first version is EINVAL; beyond what is known only zeros may stand."""
    memory = Bytes({0x100: struct.pack("=QQQ", os.O_RDWR, 0o600, 4) + tail})
    if outcome:
        with pytest.raises(Refused) as refused:
            read_open_how(memory, 0x100, size)
        assert refused.value.number == outcome
    else:
        assert read_open_how(memory, 0x100, size) == (os.O_RDWR, 0o600, 4)
    args = (CWD, 99, 0x100, size, 0, 0)
    texts, _ = read_texts(memory, spelled, "openat2", "x86_64", args)
    assert texts.get("oflags") == (None if outcome else ["rw"])


def test_an_argument_vector_is_followed_by_pointers_of_the_abi() -> None:
    """Of 4 or 8 bytes; without one the kernel makes it of one empty string."""
    strings = {0x10: b"ls\0", 0x20: b"-l\0"}
    for size, letter in ((8, "Q"), (4, "I")):
        vector = struct.pack(f"=3{letter}", 0x10, 0x20, 0)
        memory = Bytes({**strings, 0x100: vector})
        assert read_strings(memory, 0x100, size) == [b"ls", b"-l"]
    assert read_strings(Bytes({}), 0, 8) == [b""]


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (b"", MOST_ARGUMENTS),
        (bytes([65]) * LONGEST_ARGUMENT, MOST_ARGUMENT_BYTES // LONGEST_ARGUMENT),
    ],
    ids=["words", "bytes"],
)
def test_more_words_than_a_program_can_get_are_refused(text: bytes, most: int) -> None:
    """Empty ones count too: the kernel would hand on the words behind those that were judged."""
    place = 1 << 40
    word = struct.pack("=Q", place)
    vector = word * most
    within = Bytes({place: text, 0x100: vector + bytes(8)})
    assert len(read_strings(within, 0x100, 8)) == most
    beyond = Bytes({place: text, 0x100: vector + word + bytes(8)})
    with pytest.raises(UnreadableMemory) as raised:
        read_strings(beyond, 0x100, 8)
    assert raised.value.errno == E2BIG


@pytest.mark.parametrize(
    ("flags", "mode", "how"),
    [
        (os.O_RDONLY | 1 << 40, 0o777, (os.O_RDONLY, 0)),
        (os.O_CREAT | os.O_WRONLY, 0o107777, (os.O_CREAT | os.O_WRONLY, 0o7777)),
        (os.O_PATH | os.O_WRONLY | os.O_CREAT, 0o600, (os.O_PATH, 0)),
        (os.O_TMPFILE | os.O_RDWR, 0o600, (os.O_TMPFILE | os.O_RDWR, 0o600)),
    ],
)
def test_openat_forgives_what_openat2_refuses(flags: int, mode: int, how: tuple[int, int]) -> None:
    """Unknown bits, a mode without a creation, all but a few flags beside O_PATH: dropped."""
    assert open_how(flags, mode) == how


def test_a_new_file_is_never_a_links() -> None:
    """O_CREAT|O_EXCL follows no link at the end, O_CREAT alone does."""
    assert [follows_open(flags) for flags in (0, os.O_CREAT, os.O_CREAT | os.O_EXCL)] == [1, 1, 0]


def test_registers_have_texts_without_any_memory() -> None:
    """By translator, in argument order."""
    args = (CWD, 1, os.O_WRONLY | os.O_APPEND, 0o640, 0, 0)
    assert register_texts("openat", "x86_64", args) == {
        "fd": ["-100"],
        "oflags": ["woa"],
        "mode": ["640"],
    }


def test_what_is_read_once_stays_what_it_was() -> None:
    """A second look, at a string or a range, is at the first one's bytes."""
    memory = Bytes({1: b"a\0"})
    once = ReadOnce(memory)
    first = (once.read_string(1), once.read_bytes(1, 2))
    memory.ranges = {1: b"b\0"}
    assert (once.read_string(1), once.read_bytes(1, 2)) == first == (b"a", b"a\0")
    assert memory.reads == 2

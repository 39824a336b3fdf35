"""The stat and statfs structs of every ABI, as data: field and struct letter, `-` for padding.

Sources: include/uapi/asm-generic/stat.h and arch/*/include/uapi/asm/{stat,statfs}.h, compat.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from errno import EOVERFLOW
from functools import cache

from enforcer.arch.record import Abi
from enforcer.kernel.file_status import FileSystem, Status

_TIMES_64 = "atime:q atime_ns:Q mtime:q mtime_ns:Q ctime:q ctime_ns:Q"
_TIMES_32 = "atime:I atime_ns:I mtime:I mtime_ns:I ctime:I ctime_ns:I"

_X86_64 = (
    "dev:Q ino:Q nlink:Q mode:I uid:I gid:I -:I rdev:Q size:q blksize:q blocks:q "
    f"{_TIMES_64} -:Q -:Q -:Q"
)
_GENERIC_64 = (
    "dev:Q ino:Q mode:I nlink:I uid:I gid:I rdev:Q -:Q size:q blksize:i -:i blocks:q "
    f"{_TIMES_64} -:I -:I"
)
_S390X = (
    "dev:Q ino:Q nlink:Q mode:I uid:I gid:I -:I rdev:Q size:q "
    f"{_TIMES_64} blksize:Q blocks:q -:Q -:Q -:Q"
)
_OLD_32 = (
    f"dev:I ino:I mode:H nlink:H uid:H gid:H rdev:I size:I blksize:I blocks:I {_TIMES_32} -:I -:I"
)
_FIRST = "dev:H ino:H mode:H nlink:H uid:H gid:H rdev:H -:H size:I atime:I mtime:I ctime:I"
"""struct __old_kernel_stat."""
_I386_64 = (
    "dev:Q -:I ino:I mode:I nlink:I uid:I gid:I rdev:Q -:I size:q blksize:I blocks:Q "
    f"{_TIMES_32} ino:Q"
)
_ARM_64 = (
    "dev:Q -:I ino:I mode:I nlink:I uid:I gid:I rdev:Q -:I -:I size:q blksize:I -:I blocks:Q "
    f"{_TIMES_32} ino:Q"
)

_WIDE: Mapping[str, str] = {
    "x86_64": _X86_64,
    "x32": _X86_64,
    "arm64": _GENERIC_64,
    "riscv64": _GENERIC_64,
    "s390x": _S390X,
    "ppc64le": _X86_64.replace("q blksize:q blocks:q", "q blksize:Q blocks:Q"),
}
_STAT64: Mapping[str, str] = {"i386": _I386_64, "arm": _ARM_64}

_OLD_STATS = frozenset({"stat", "lstat", "newfstatat"})
_FIRST_STATS = frozenset({"oldstat", "oldlstat"})
_MOST_OLD_SIZE = 0x7FFF_FFFF
_OVERFLOW_ID = 65534


@dataclass(frozen=True)
class _Layout:
    fields: tuple[str, ...]
    letters: str


@cache
def _layout(text: str) -> _Layout:
    pairs = [field.partition(":") for field in text.split()]
    return _Layout(tuple(name for name, _, _ in pairs), "".join(letter for _, _, letter in pairs))


def _encode_device(major: int, minor: int) -> int:
    """new_encode_dev() of the kernel."""
    return (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12


def _encode_old_device(major: int, minor: int) -> int:
    """old_encode_dev() of the kernel."""
    return major << 8 | minor


def pack_stat(abi: Abi, call: str, status: Status) -> bytes | int:
    """The struct that `call` of `abi` fills in, or -EOVERFLOW. KeyError for an ABI without it."""
    old = abi.pointer_size == 4 and abi.name not in _WIDE and call in _OLD_STATS
    first = call in _FIRST_STATS
    text = _OLD_32 if old else _FIRST if first else _WIDE.get(abi.name) or _STAT64[abi.name]
    layout = _layout(text)
    encode = _encode_old_device if first else _encode_device
    values: dict[str, int] = {
        "-": 0,
        "dev": encode(status.dev_major, status.dev_minor),
        "rdev": encode(status.rdev_major, status.rdev_minor),
        **{name: getattr(status, name) for name in set(layout.fields) & set(Status._fields)},
    }
    if old or first:
        if status.ino >> (16 if first else 32) or status.nlink >> 16:
            return -EOVERFLOW
        if old and status.size > _MOST_OLD_SIZE:  # the first ones' is cut (cp_old_stat)
            return -EOVERFLOW
        for name in ("uid", "gid"):
            values[name] = values[name] if values[name] < 1 << 16 else _OVERFLOW_ID
    order = ">" if abi.big_endian else "<"
    return struct.pack(
        order + layout.letters,
        *(
            values[name] if letter in "qi" else values[name] & _MASKS[letter]
            for name, letter in zip(layout.fields, layout.letters, strict=True)
        ),
    )


def stat_size(abi: Abi) -> int:
    """Bytes of the struct that stat and newfstatat of a 64-bit ABI fill in."""
    return struct.calcsize("=" + _layout(_WIDE[abi.name]).letters)


_MASKS: Mapping[str, int] = {"H": 0xFFFF, "I": 0xFFFF_FFFF, "Q": 0xFFFF_FFFF_FFFF_FFFF}

STATFS64_SIZES: Mapping[str, frozenset[int]] = {
    "i386": frozenset({84}),
    "arm": frozenset({84, 88}),
}


def pack_statfs(abi: Abi, call: str, facts: FileSystem) -> bytes | int:
    """The struct that statfs (of a 32-bit ABI also statfs64) fills in, or -EOVERFLOW."""
    order = ">" if abi.big_endian else "<"
    fields = [value & _MASKS["Q"] for value in facts]
    if abi.name in _WIDE and abi.name != "s390x":
        return struct.pack(order + "2Q5Q2I3Q4Q", *_with_ids(fields), 0, 0, 0, 0)
    words = [value & _MASKS["I"] for value in _with_ids(fields)]
    if call == "statfs64" or abi.name == "s390x":
        return struct.pack(
            order + "2I5Q2I3I4I", *words[:2], *fields[2:7], *words[7:], 0, 0, 0, 0
        ) + (bytes(4) if abi.name == "s390x" else b"")
    everything = (1 << 64) - 1
    if any(value >> 32 for value in (fields[1], *fields[2:5], fields[10])):
        return -EOVERFLOW
    if any(value >> 32 and value != everything for value in fields[5:7]):
        return -EOVERFLOW
    return struct.pack(order + "16I", *words, 0, 0, 0, 0)


def _with_ids(fields: list[int]) -> list[int]:
    return [*fields[:7], fields[7] & _MASKS["I"], fields[8] & _MASKS["I"], *fields[9:]]

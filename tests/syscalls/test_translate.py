"""Registers and socket addresses as text."""

from __future__ import annotations

import fcntl
import signal
import socket
import struct
import termios
from types import ModuleType

import pytest

from enforcer.arch import ABIS
from enforcer.syscalls import names, syscall
from enforcer.syscalls.constants import CONSTANTS, constants, differing
from enforcer.syscalls.model import REGISTER_KINDS, Kind
from enforcer.syscalls.sockaddr import format_sockaddr
from enforcer.syscalls.translate import names_for, translate_register

TEXTS = [
    ("open", "flags", 0o0, "ro"),
    ("open", "flags", 0o1, "wo"),
    ("open", "flags", 0o2, "rw"),
    ("open", "flags", 0o3, "rw"),
    ("open", "flags", 0o7101, "wonact"),
    ("openat", "mode", 0o644, "644"),
    ("openat", "mode", 0xFFFF_0000_0001_0644, "3104"),
    ("openat", "dfd", 0xFFFF_FF9C, "-100"),
    ("openat", "dfd", 0x1_0000_0003, "3"),
    ("chown", "user", 33, "33"),
    ("chown", "user", 0xFFFF_FFFF, "-1"),
    ("kill", "pid", 0xFFFF_FFFF, "-1"),
    ("kill", "sig", 9, "SIGKILL"),
    ("kill", "sig", 6, "SIGABRT"),
    ("kill", "sig", 0, "0"),
    ("kill", "sig", 40, "40"),
    ("mmap", "prot", 0, "PROT_NONE"),
    ("mmap", "prot", 5, "PROT_READ|PROT_EXEC"),
    ("mmap", "prot", 0xFF00_0000_0000_0004, "PROT_EXEC"),
    ("mprotect", "prot", 0x13, "PROT_READ|PROT_WRITE|0x10"),
    ("mmap", "flags", 0x22, "MAP_PRIVATE|MAP_ANONYMOUS"),
    ("mmap", "flags", 0x3, "MAP_SHARED_VALIDATE"),
    ("clone", "clone_flags", 0x0080_0111, "SIGCHLD|CLONE_VM|CLONE_UNTRACED"),
    ("unlinkat", "flag", 0x200, "AT_REMOVEDIR"),
    ("linkat", "flags", 0, "0"),
    ("futex_wake", "flags", 0x12, "0x12"),
    ("ioctl", "cmd", 0x5412, "TIOCSTI"),
    ("ioctl", "cmd", 0x1_0000_5412, "TIOCSTI"),
    ("ioctl", "cmd", 0xABCD, "0xabcd"),
    ("fcntl", "cmd", 4, "F_SETFL"),
    ("prctl", "option", 38, "PR_SET_NO_NEW_PRIVS"),
    ("ptrace", "request", 0x1_0000_0010, "0x100000010"),
    ("ptrace", "request", 16, "PTRACE_ATTACH"),
    ("seccomp", "flags", 8, "SECCOMP_FILTER_FLAG_NEW_LISTENER"),
    ("socket", "family", 1, "AF_UNIX"),
    ("socket", "family", 16, "AF_NETLINK"),
    ("socket", "family", 999, "999"),
    ("socket", "type", 0x80001, "SOCK_STREAM"),
    ("socket", "type", 3 | 0x800, "SOCK_RAW"),
    ("socketcall", "call", 3, "SYS_CONNECT"),
]


@pytest.mark.parametrize(("call", "argument", "value", "text"), TEXTS)
def test_registers_as_text(call: str, argument: str, value: int, text: str) -> None:
    """The text of a register, whatever stands in bits that the kernel ignores."""
    found = next(each for each in syscall(call).arguments if each.name == argument)
    assert translate_register(found, value, call) == text


def test_sixteen_bit_ids() -> None:
    """The old calls of i386 and arm take 16 bits, all ones meaning no change."""
    old = syscall("setuid", "i386").arguments[0]
    assert translate_register(old, 0xFFFF, "setuid") == "-1"
    assert translate_register(old, 0x1_0021, "setuid") == "33"


def test_every_register_argument_has_a_text() -> None:
    """No register of any call on any ABI makes the translation fail; memory has none."""
    for call in names():
        for argument in syscall(call).arguments:
            if argument.kind in REGISTER_KINDS:
                for value in (0, 1, 0x8000_0000, 0xFFFF_FFFF_FFFF_FFFF):
                    assert translate_register(argument, value, call)
    path = syscall("open").arguments[0]
    with pytest.raises(ValueError, match="not decided by a register"):
        translate_register(path, 0, "open")


def test_ignored_bits_do_not_change_a_text() -> None:
    """The text depends on the argument's mask alone."""
    for call in names():
        for argument in syscall(call).arguments:
            if argument.kind in REGISTER_KINDS and argument.kind is not Kind.VALUE:
                junk = ~argument.mask & 0xFFFF_FFFF_FFFF_FFFF
                assert translate_register(argument, 5, call) == translate_register(
                    argument, 5 | junk, call
                )


def test_vocabulary_names_are_constants() -> None:
    """Every name by which a value prints is the constant of that value."""
    for call in names():
        for what in ("cmd", "flags"):
            for value, spelled in names_for(call, what).items():
                assert CONSTANTS[spelled] == value


@pytest.mark.parametrize(
    ("module", "prefixes"),
    [
        (signal, ("SIG",)),
        (socket, ("AF_", "MSG_", "SOL_")),
        (fcntl, ("F_", "LOCK_")),
        (termios, ("TIOC", "TCSET", "TCGET")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_constants_agree_with_the_c_library(module: ModuleType, prefixes: tuple[str, ...]) -> None:
    """Names that Python knows from the C library have the same value there."""
    compared = 0
    wrapped = ("F_GETLK", "F_SETLK", "SIGRT")
    for name, value in vars(module).items():
        if name.startswith(prefixes) and name in CONSTANTS and not name.startswith(wrapped):
            compared += 1
            assert CONSTANTS[name] == int(value) & 0xFFFF_FFFF, name
    assert compared > 5


def test_constants_that_differ_between_abis() -> None:
    """O_DIRECTORY is another bit on arm and ppc64le, TIOCSTI is the same everywhere."""
    assert CONSTANTS["AT_FDCWD"] == 0xFFFF_FF9C
    assert differing("O_DIRECTORY") == {"arm": 0x4000, "arm64": 0x4000, "ppc64le": 0x4000}
    assert differing("TIOCSTI") == {}
    assert differing("FIONREAD") == {"ppc64le": 0x4004667F}
    for abi in ABIS:
        for name in ("O_ACCMODE", "O_CREAT", "O_TRUNC", "O_APPEND", "O_NONBLOCK"):
            assert constants(abi)[name] == CONSTANTS[name]


def sockaddr(family: int, body: bytes) -> bytes:
    return struct.pack("=H", family) + body


ADDRESSES = [
    (sockaddr(2, struct.pack(">H", 80) + bytes(4) + bytes(8)), "inet-[0.0.0.0]:80"),
    (sockaddr(2, struct.pack(">H", 8080) + b"\x7f\0\0\1" + bytes(8)), "inet-[127.0.0.1]:8080"),
    (
        sockaddr(10, struct.pack(">H", 443) + bytes(4) + bytes(15) + b"\x01" + bytes(4)),
        "inet6-[::1]:443",
    ),
    (
        sockaddr(
            10, struct.pack(">H", 1) + bytes(4) + b"\xfe\x80" + bytes(14) + struct.pack("=I", 2)
        ),
        "inet6-[fe80::%2]:1",
    ),
    (sockaddr(1, b"/run/socket\0junk"), "/run/socket"),
    (sockaddr(1, b"/run/socket"), "/run/socket"),
    (sockaddr(1, b"relative"), "relative"),
    (sockaddr(1, b"inet-[1.2.3.4]:5"), "./inet-[1.2.3.4]:5"),
    (sockaddr(1, b"@name"), "./@name"),
    (sockaddr(1, b"\0hidden\0x"), "@hidden\\0x"),
    (sockaddr(1, b"\0hidden\\0x"), "@hidden\\\\0x"),
    (sockaddr(1, b""), "unix-[]"),
    (sockaddr(1, b"/\xff"), "/\udcff"),
    (sockaddr(0, b""), "unspec-[]"),
    (sockaddr(16, struct.pack("=HII", 0, 7, 1)), "netlink-[7]:1"),
    (sockaddr(40, struct.pack("=HIII", 0, 1024, 2, 0)), "vsock-[2]:1024"),
    (sockaddr(17, b"\x01\x02"), "packet-[0102]"),
]


@pytest.mark.parametrize(("raw", "text"), ADDRESSES)
def test_addresses_as_text(raw: bytes, text: str) -> None:
    """Internet addresses with port, paths, abstract names, and the rest by family."""
    assert format_sockaddr(raw) == text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\2",
        sockaddr(2, bytes(13)),
        sockaddr(10, bytes(21)),
        sockaddr(1, b"/" * 109),
        sockaddr(16, bytes(9)),
        sockaddr(40, bytes(13)),
        sockaddr(999, bytes(30)),
    ],
)
def test_addresses_of_no_use(raw: bytes) -> None:
    """What no socket takes has no text: lengths not of the family, and families without a name."""
    assert format_sockaddr(raw) is None


def test_family_is_in_the_order_of_the_target() -> None:
    """The family and scope are in the target's byte order, the port never."""
    raw = struct.pack(">HH", 2, 80) + bytes([1, 2, 3, 4]) + bytes(8)
    assert format_sockaddr(raw, big_endian=True) == "inet-[1.2.3.4]:80"

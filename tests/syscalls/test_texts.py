"""Every name by which registers print, against the manual pages."""

from __future__ import annotations

import socket

import pytest

from enforcer.syscalls import syscall
from enforcer.syscalls.model import Argument, Kind
from enforcer.syscalls.translate import names_for, translate_oflags, translate_register

SIGNALS = """
    HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP
    TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
"""
"""signal(7), from 1."""


def text(call: str, argument: str, value: int) -> str:
    found = next(each for each in syscall(call).arguments if each.name == argument)
    return translate_register(found, value, call)


def test_signals() -> None:
    """By their first names; real-time signals and what is none as numbers."""
    for number, name in enumerate(SIGNALS.split(), 1):
        assert text("kill", "sig", number) == f"SIG{name}"
        assert text("kill", "sig", number | 1 << 32) == f"SIG{name}"
    for number, shown in ((0, "0"), (32, "32"), (64, "64"), (65, "65"), (0xFFFF_FFFF, "-1")):
        assert text("kill", "sig", number) == shown


@pytest.mark.parametrize("mode", range(4))
@pytest.mark.parametrize("letters", range(16))
def test_open_flags(mode: int, letters: int) -> None:
    """open(2): access mode, then n a c t for O_NONBLOCK, O_APPEND, O_CREAT and O_TRUNC."""
    bits = {"n": 0o4000, "a": 0o2000, "c": 0o100, "t": 0o1000}
    chosen = [letter for place, letter in enumerate(bits) if letters >> place & 1]
    flags = mode | sum(bits[letter] for letter in chosen)
    expected = ("ro", "wo", "rw", "rw")[mode] + "".join(chosen)
    assert translate_oflags(flags) == expected
    assert translate_oflags(flags | 0o200000 | 0o2000000 | 0o400000) == expected
    assert text("open", "flags", flags | 1 << 32) == expected


def test_socket_domains() -> None:
    """socket(2); of two names of one number the usual one."""
    for number, name in ((0, "UNSPEC"), (1, "UNIX"), (2, "INET"), (10, "INET6"), (16, "NETLINK")):
        assert text("socket", "family", number) == f"AF_{name}"
    for number, name in ((17, "PACKET"), (40, "VSOCK"), (38, "ALG"), (44, "XDP")):
        assert text("socket", "family", number) == f"AF_{name}"
    for value in vars(socket.AddressFamily).values():
        if isinstance(value, socket.AddressFamily):
            assert text("socket", "family", value).startswith("AF_")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (1, "SOCK_STREAM"),
        (2, "SOCK_DGRAM"),
        (3, "SOCK_RAW"),
        (4, "SOCK_RDM"),
        (5, "SOCK_SEQPACKET"),
        (6, "SOCK_DCCP"),
        (10, "SOCK_PACKET"),
        (0, "0"),
        (7, "7"),
        (15, "15"),
        (0x80801, "SOCK_STREAM"),
        (0x11, "SOCK_STREAM"),
    ],
)
def test_socket_types(value: int, name: str) -> None:
    """Four bits tell the type; SOCK_CLOEXEC and SOCK_NONBLOCK do not show."""
    assert text("socket", "type", value) == name


@pytest.mark.parametrize(
    ("call", "argument", "value", "expected"),
    [
        ("clone", "clone_flags", 0, "0"),
        ("clone", "clone_flags", 17, "SIGCHLD"),
        ("clone", "clone_flags", 0x100, "CLONE_VM"),
        ("clone", "clone_flags", 0x1000_0011, "SIGCHLD|CLONE_NEWUSER"),
        ("clone", "clone_flags", 0x6002_0000, "CLONE_NEWNS|CLONE_NEWPID|CLONE_NEWNET"),
        ("clone", "clone_flags", 0x0E00_0000, "CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC"),
        ("clone", "clone_flags", 0x28, "0x28"),
        ("unshare", "unshare_flags", 0x11, "0x11"),
        ("mmap", "flags", 0, "0"),
        ("mmap", "flags", 1, "MAP_SHARED"),
        ("mmap", "flags", 2, "MAP_PRIVATE"),
        ("mmap", "flags", 8, "MAP_DROPPABLE"),
        ("mmap", "flags", 5, "0x5"),
        ("mmap", "flags", 0x12, "MAP_PRIVATE|MAP_FIXED"),
        ("mmap", "flags", 0x8000_0022, "MAP_PRIVATE|MAP_ANONYMOUS|0x80000000"),
        ("mmap2", "flags", 0x12, "MAP_PRIVATE|MAP_FIXED"),
        ("mprotect", "prot", 0, "PROT_NONE"),
        ("mprotect", "prot", 7, "PROT_READ|PROT_WRITE|PROT_EXEC"),
        ("mprotect", "prot", 8, "PROT_SEM"),
        ("mprotect", "prot", 0x0300_0001, "PROT_READ|PROT_GROWSDOWN|PROT_GROWSUP"),
        ("mprotect", "prot", 1 << 32, "0x100000000"),
        ("chmod", "mode", 0o4755, "4755"),
        ("chmod", "mode", 0, "0"),
        ("fchown", "user", 0, "0"),
        ("fchown", "group", 0xFFFF_FFFF, "-1"),
        ("fchown", "group", 0xFFFF_FFFE, "4294967294"),
        ("close", "fd", 0x7FFF_FFFF, "2147483647"),
        ("close", "fd", 0x8000_0000, "-2147483648"),
        ("kill", "pid", 0xFFFF_FFFE, "-2"),
        ("ioctl", "cmd", 0, "0x0"),
        ("ioctl", "cmd", 0x8912, "SIOCGIFCONF"),
        ("fcntl", "cmd", 1033, "F_ADD_SEALS"),
        ("ioctl", "arg", 5, "5"),
    ],
)
def test_registers(call: str, argument: str, value: int, expected: str) -> None:
    """Flags joined by `|`, lowest bit first, with what has no name as one number at the end."""
    assert text(call, argument, value) == expected


def test_vocabulary() -> None:
    """What is taken out of a family of names has no name, and other calls' names do not show."""
    assert "PR_SET_MM_START_CODE" not in names_for("prctl", "cmd").values()
    assert names_for("prctl", "cmd")[22] == "PR_SET_SECCOMP"
    assert names_for("ioctl", "cmd")[0x5412] == "TIOCSTI"
    assert names_for("ioctl", "flags") == {}
    assert names_for("read", "cmd") == {}
    assert names_for("fcntl", "cmd") == names_for("fcntl64", "cmd")


@pytest.mark.parametrize(
    "kind", [Kind.PATH, Kind.STRING, Kind.SOCKADDR, Kind.ARGV, Kind.STRUCT, Kind.POINTER]
)
def test_memory_has_no_text(kind: Kind) -> None:
    """No register decides it."""
    with pytest.raises(ValueError, match="not decided by a register"):
        translate_register(Argument(index=0, name="x", kind=kind), 0, "open")

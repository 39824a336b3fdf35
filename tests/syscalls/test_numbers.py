"""The numbers: well-known ones, those of the C library's headers, and libseccomp's."""

from __future__ import annotations

import ctypes.util

import pytest

from enforcer.arch import ABIS
from enforcer.syscalls import name, names, number, table
from enforcer.syscalls.generate import parse_header, render

KNOWN = {
    "x86_64": {"read": 0, "openat": 257, "execve": 59, "clone3": 435, "openat2": 437, "mseal": 462},
    "i386": {"exit": 1, "open": 5, "socketcall": 102, "openat": 295, "mmap": 90, "mmap2": 192},
    "x32": {"read": 0x4000_0000, "ioctl": 0x4000_0000 + 514, "execve": 0x4000_0000 + 520},
    "arm": {"exit": 1, "openat": 322, "cacheflush": 0xF0002, "set_tls": 0xF0005, "send": 289},
    "arm64": {"openat": 56, "read": 63, "clone": 220, "newfstatat": 79, "statx": 291},
    "riscv64": {"openat": 56, "read": 63, "riscv_flush_icache": 259, "riscv_hwprobe": 258},
    "s390x": {"openat": 288, "read": 3, "socketcall": 102, "mmap": 90, "s390_sthyi": 380},
    "ppc64le": {"openat": 286, "read": 3, "sync_file_range2": 308, "switch_endian": 363},
}

ABSENT = [
    ("arm64", "open"),
    ("riscv64", "fork"),
    ("x86_64", "socketcall"),
    ("x86_64", "cacheflush"),
    ("arm", "socketcall"),
    ("x32", "_sysctl"),
]

LIBSECCOMP_ARCHES = {
    "x86_64": "X86_64",
    "i386": "X86",
    "x32": "X32",
    "arm": "ARM",
    "arm64": "AARCH64",
    "s390x": "S390X",
    "ppc64le": "PPC64LE",
    "riscv64": "RISCV64",
}


@pytest.mark.parametrize("abi", ABIS)
def test_well_known_numbers(abi: str) -> None:
    """Numbers that everybody knows."""
    for call, expected in KNOWN[abi].items():
        assert number(abi, call) == expected
        assert name(abi, expected) == call


@pytest.mark.parametrize(("abi", "call"), ABSENT)
def test_calls_that_an_abi_lacks(abi: str, call: str) -> None:
    """A call of another ABI has no number here."""
    assert call in names()
    assert number(abi, call) is None


@pytest.mark.parametrize("abi", ABIS)
def test_one_name_a_number(abi: str) -> None:
    """No two calls of an ABI share a number, and each carries the ABI's bit."""
    numbers = table(abi)
    assert len(set(numbers.values())) == len(numbers) > 300
    assert all(nr & ABIS[abi].nr_bit == ABIS[abi].nr_bit for nr in numbers.values())


def test_the_newest_calls_are_there() -> None:
    """Calls since 5.12 have one number everywhere; the newest are those of Linux 7.2."""
    for call, expected in {"openat2": 437, "statmount": 457, "mseal": 462, "listns": 470}.items():
        for abi in ABIS:
            assert number(abi, call) == expected + ABIS[abi].nr_bit


def test_a_number_beyond_the_table_has_no_name() -> None:
    """The next number, -1 and x32's bit alone on x86_64 are unlisted."""
    for nr in (-1, max(table("x86_64").values()) + 1, 0x4000_0000, 0xFFFF_FFFF):
        assert name("x86_64", nr) is None


@pytest.mark.parametrize("abi", LIBSECCOMP_ARCHES)
def test_libseccomp_knows_no_other_number(abi: str) -> None:
    """Where libseccomp has a number for a name, it is ours."""
    if ctypes.util.find_library("seccomp") is None:
        pytest.skip("libseccomp is not installed")
    pyseccomp = pytest.importorskip("pyseccomp")
    machine = getattr(pyseccomp.Arch, LIBSECCOMP_ARCHES[abi])
    compared = 0
    for call, ours in table(abi).items():
        try:
            theirs = pyseccomp.resolve_syscall(machine, call)
        except (ValueError, OSError):
            continue
        if theirs < 0:
            continue
        compared += 1
        assert theirs == ours, call
    assert compared > 250


def test_headers_are_read_with_their_bases() -> None:
    """Plain numbers, relative numbers and arm's private calls; anything else is no call."""
    text = (
        "#define __NR_read 0\n"
        "#define __NR_open (__X32_SYSCALL_BIT + 2)\n"
        "#define __ARM_NR_cacheflush\t\t(__ARM_NR_BASE+2)\n"
        "#define __NR_SYSCALL_BASE\t0\n"
        "#define __NR_sync_file_range2\t\t__NR_arm_sync_file_range\n"
    )
    assert parse_header(text) == {"read": 0, "open": 0x4000_0002, "cacheflush": 0xF0002}
    with pytest.raises(ValueError, match="unknown base"):
        parse_header("#define __NR_read (__OTHER + 1)\n")


def test_the_table_has_one_line_a_call() -> None:
    """A call that an ABI lacks is a dash."""
    text = render({"one": {"b": 1, "a": 0x10000}, "two": {"b": 2}})
    assert text == "name\tone\ttwo\na\t0x10000\t-\nb\t1\t2\n"

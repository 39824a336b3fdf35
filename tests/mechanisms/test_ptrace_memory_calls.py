"""Calls that change mappings, near the page from which held calls take their arguments."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from enforcer.condition import TRUE, Compare, Operator
from enforcer.syscalls import names, remapped, remapping_calls, syscall
from harness import process
from tests.mechanisms.sandbox import run

POLICY = """\
default: permit
rules:
  - deny: openat
    when: filename eq "/etc/nothing"
"""

CALLS = """
import ctypes, errno, mmap, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = libc.shmat.restype = ctypes.c_ulong
MAYMOVE, FIXED, REMAP = 1, 2, 0o40000
ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
WORD = ctypes.c_ulong

def said(result):
    failed = result in (2**64 - 1, -1)
    return errno.errorcode[ctypes.get_errno()] if failed else "done"

def fresh(size=4096):
    return WORD(libc.mmap(WORD(0), WORD(size), 3, ANONYMOUS, -1, WORD(0)))

def segment():
    return libc.shmget(0, WORD(1 << 20), 0o1600)
"""

IGNORED = """
LOW, HIGH = (0, 0x10000, 0x40000000), (0x555555554000, 0x7fff00000000, 2**64 - 1)
for size in (8 << 10, 1 << 20, 28 << 20, 5 << 30):
    for address in LOW + HIGH:
        moved = libc.mremap(fresh(), WORD(4096), WORD(size), MAYMOVE, WORD(address))
        print("mremap", size, hex(address), said(moved))
    for address in LOW:
        hinted = libc.mmap(WORD(address), WORD(size), 0, ANONYMOUS | 0x4000, -1, WORD(0))
        print("mmap", size, hex(address), said(hinted))
for address in (0, 0x40000000):
    shm = segment()
    print("shmat", hex(address), said(libc.shmat(shm, WORD(address), 0)))
    libc.shmctl(shm, 0, None)
"""

AIMED = """
open("/etc/hostname")
(line,) = [line for line in open("/proc/self/maps") if "call-arguments" in line][-1:]
start, end = (int(word, 16) for word in line.split()[0].split("-"))
for place, size in ((start, 4096), (start - 4096, 3 * 4096), (end - 4096, 4096)):
    slot, length = WORD(place), WORD(size)
    print(said(libc.mremap(fresh(size), length, length, MAYMOVE | FIXED, slot)))
    print(said(libc.mremap(slot, length, length, MAYMOVE | FIXED, fresh(size))))
    print(said(libc.mmap(slot, length, 3, ANONYMOUS | 0x10, -1, WORD(0))))
    print(said(libc.shmat(segment(), slot, REMAP)))
    print(said(libc.mprotect(slot, length, 3)))
    print(said(libc.munmap(slot, length)))
print(line in list(open("/proc/self/maps")))
"""


def test_addresses_that_the_kernel_ignores_are_no_aim(tmp_path: Path) -> None:
    """mremap without MREMAP_FIXED, hints of mmap, and shmat to no address end as they do bare."""
    command = [sys.executable, "-c", CALLS + IGNORED]
    bare = process.run(command, timeout_s=30.0, cwd=tmp_path)
    assert bare.stdout.count("done") > 20
    ran = run("ptrace", POLICY, command, tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == bare.stdout.splitlines()


def test_what_reaches_the_slots_is_refused(tmp_path: Path) -> None:
    """No call puts anything where the slots are, or takes them away, from either end."""
    ran = run("ptrace", POLICY, [sys.executable, "-c", CALLS + AIMED], tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [*["EPERM"] * 18, "True"]


WHEN = {
    "mmap": {"MAP_FIXED": 0x10},
    "mmap2": {"MAP_FIXED": 0x10},
    "mremap": {"MREMAP_FIXED": 2},
    "shmat": {"SHM_REMAP": 0o40000},
}


def test_the_model_says_which_calls_change_mappings() -> None:
    """The calls that take an address and a size to map, unmap or protect, and by which flag."""
    assert remapping_calls() == {
        *("mmap", "mmap2", "munmap", "mremap", "mprotect", "pkey_mprotect"),
        *("madvise", "remap_file_pages", "shmat"),
    }
    for name in names():
        flags = [each.when for each in syscall(name).remaps if each.when != TRUE]
        assert len(flags) == len(WHEN.get(name, {}))
        for flag, bit in zip(flags, WHEN.get(name, {}).values(), strict=True):
            assert isinstance(flag, Compare)
            assert (flag.operator, flag.value, flag.mask) == (Operator.NE, 0, bit)


@pytest.mark.parametrize(
    ("name", "args", "places"),
    [
        ("mremap", (0x1000, 8, 9, 1, 0x5000, 0), [(0x1000, 0x1008)]),
        ("mremap", (0x1000, 8, 9, 3, 0x5000, 0), [(0x1000, 0x1008), (0x5000, 0x5009)]),
        ("shmat", (1, 0, 0, 0, 0, 0), []),
        ("shmat", (1, 0x1000, 0o40000, 0, 0, 0), [(0x1000, None)]),
        ("mmap", (0x1000, 8, 3, 0x22, 0, 0), []),
        ("mmap", (0x1000, 8, 3, 0x32, 0, 0), [(0x1000, 0x1008)]),
        ("munmap", (0x1000, 8, 0, 0, 0, 0), [(0x1000, 0x1008)]),
        ("read", (0, 0, 0, 0, 0, 0), []),
    ],
)
def test_where_a_call_changes_mappings(
    name: str, args: tuple[int, ...], places: list[tuple[int, int | None]]
) -> None:
    """The addresses that count with these registers, and no ignored one."""
    assert list(remapped(syscall(name), args)) == places


def test_a_tag_is_no_part_of_an_address() -> None:
    """The kernel takes it off before it looks (munmap(2) of arm64)."""
    call = syscall("munmap")
    args = (0xFF00_0000_0000_1000, 8, 0, 0, 0, 0)
    assert list(remapped(call, args, 0xFF << 56)) == [(0x1000, 0x1008)]

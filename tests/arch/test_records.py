"""The architecture records agree with each other, with elf.h and audit.h, and with this kernel."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

import pytest

from enforcer.arch import ABIS, arch, by_audit_arch, native
from enforcer.arch.record import NT_PRSTATUS, Abi, NumberRegset

AUDIT_64BIT = 0x8000_0000
AUDIT_LITTLE_ENDIAN = 0x4000_0000

PTRACE_TRACEME, PTRACE_SYSCALL, PTRACE_GETREGSET = 0, 24, 0x4204
PTRACE_SETOPTIONS, PTRACE_O_TRACESYSGOOD = 0x4200, 1


@pytest.mark.parametrize("abi", ABIS.values(), ids=lambda abi: abi.name)
def test_audit_arch_says_machine_width_and_order(abi: Abi) -> None:
    """AUDIT_ARCH is the ELF machine, the word size and the byte order in one number."""
    expected = abi.e_machine
    expected |= AUDIT_64BIT if abi.bits == 64 else 0
    expected |= 0 if abi.big_endian else AUDIT_LITTLE_ENDIAN
    assert abi.audit_arch == expected


@pytest.mark.parametrize("abi", ABIS.values(), ids=lambda abi: abi.name)
def test_registers_lie_within_the_regset(abi: Abi) -> None:
    """Every register of a layout is a whole word of the regset, and no two arguments are one."""
    for layout in abi.layouts:
        places = [
            layout.number,
            layout.result,
            layout.instruction_pointer,
            layout.stack_pointer,
            *layout.arguments,
        ]
        if layout.short_state is not None:
            places.append(layout.short_state.offset)
        assert all(0 <= place <= layout.size - layout.word for place in places)
        assert all(place % layout.word == 0 for place in places)
        assert len(set(layout.arguments)) == 6
        assert layout.number not in layout.arguments
        assert abi.layout(layout.size) is layout


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("amd64", "x86_64"),
        ("x86_64", "x86_64"),
        ("i686", "i386"),
        ("i386", "i386"),
        ("aarch64", "arm64"),
        ("arm64", "arm64"),
        ("armhf", "arm"),
        ("armv7l", "arm"),
        ("riscv64", "riscv64"),
        ("s390x", "s390x"),
        ("ppc64el", "ppc64le"),
        ("ppc64le", "ppc64le"),
    ],
)
def test_names_of_debian_and_uname(written: str, meant: str) -> None:
    """An architecture is found by every name in use."""
    assert arch(written).name == meant


def test_unknown_architecture_is_answered_with_the_known_ones() -> None:
    """The message lists what can be chosen."""
    with pytest.raises(KeyError, match=r"vax.*x86_64.*ppc64le"):
        arch("vax")


def test_x32_shares_its_audit_arch_with_x86_64() -> None:
    """The two differ in the number's bit 30 only; every other ABI is alone."""
    for abi in ABIS.values():
        siblings = {sibling.name for sibling in by_audit_arch(abi.audit_arch)}
        assert siblings == ({"x86_64", "x32"} if abi.name in ("x86_64", "x32") else {abi.name})
    assert ABIS["x32"].nr_bit == 0x4000_0000
    assert by_audit_arch(0xDEAD) == ()


def test_where_a_number_cannot_be_written_in_place() -> None:
    """arm and arm64 take a new number through NT_ARM_SYSTEM_CALL; riscv64 hides argument 0."""
    special = {abi.name for abi in ABIS.values() if abi.layouts[0].number_write is not None}
    assert special == {"arm", "arm64"}
    assert ABIS["arm64"].layouts[0].number_write == NumberRegset(note=0x404, size=4)
    assert ABIS["arm"].layouts[0].number_request == 23
    assert {n for n, abi in ABIS.items() if abi.layouts[0].frozen_arguments} == {"riscv64"}


def test_the_record_of_this_machine_reads_a_call_of_its_own() -> None:
    """Number, arguments and result of a traced call lie where the native record says."""
    abi = native().native
    words = (0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    number = 400_000

    child = os.fork()
    if child == 0:
        libc.ptrace(PTRACE_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        libc.syscall.argtypes = [ctypes.c_long] * 7
        libc.syscall(number, *words)
        os._exit(0)
    try:
        assert os.WIFSTOPPED(os.waitpid(child, 0)[1])
        libc.ptrace(PTRACE_SETOPTIONS, child, None, PTRACE_O_TRACESYSGOOD)
        seen = _first_stop_with(libc, child, abi, number)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    layout = abi.layouts[0]
    assert len(seen) == layout.size
    assert tuple(_word(abi, seen, place) for place in layout.arguments) == words


def _word(abi: Abi, registers: bytes, place: int) -> int:
    layout = abi.layouts[0]
    code = (">" if abi.big_endian else "<") + ("Q" if layout.word == 8 else "I")
    return int(struct.unpack_from(code, registers, place)[0])


def _first_stop_with(libc: ctypes.CDLL, child: int, abi: Abi, number: int) -> bytes:
    """The registers at the first system call stop that shows `number`."""
    for _ in range(100):
        libc.ptrace(PTRACE_SYSCALL, child, None, None)
        _, status = os.waitpid(child, 0)
        assert os.WIFSTOPPED(status)
        buffer = ctypes.create_string_buffer(1024)
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), len(buffer))
        assert libc.ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, ctypes.addressof(vector)) == 0, (
            ctypes.get_errno()
        )
        registers = buffer.raw[: vector[1]]
        if _word(abi, registers, abi.layout(len(registers)).number) == number:
            return registers
    raise AssertionError("the call was never seen")

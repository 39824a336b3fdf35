"""seccomp(2) of the running kernel; everything that confines happens in a forked child."""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.arch import ABIS
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    Code,
    Instruction,
    InvalidProgram,
    Program,
    assemble,
    check,
    simulate,
)
from enforcer.cbpf.spec import ACTION_NAMES, SeccompData
from enforcer.kernel.raw import NATIVE_ABI
from enforcer.kernel.seccomp import (
    FilterFlag,
    actions_available,
    errno_of_call,
    is_action_available,
    is_flag_available,
    load_filter,
    no_new_privs,
    notification_sizes,
    status,
)
from enforcer.syscalls import number
from tests.cbpf.programs import near_programs, valid_programs

ALLOW_ALL = (Instruction(Code.RET, ALLOW),)


def in_child(act: Callable[[], int]) -> int:
    """What `act` returns in a forked child, which need not be able to make any call after it.

    -1 when the child ended before that.
    """
    page = mmap.mmap(-1, mmap.PAGESIZE)
    struct.pack_into("=q", page, 0, -1)
    pid = os.fork()
    if pid == 0:
        try:
            struct.pack_into("=q", page, 0, act())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    result: int = struct.unpack_from("=q", page)[0]
    page.close()
    return result


def loading(program: Program, flags: int = 0) -> int:
    """0, or the errno of loading `program`."""
    try:
        no_new_privs()
        load_filter(assemble(program), flags)
    except OSError as error:
        return error.errno or 0
    return 0


def test_known_actions() -> None:
    """The kernel knows every action that we name, and not one that does not exist."""
    assert actions_available() <= set(ACTION_NAMES)
    assert ALLOW in actions_available()
    assert not is_action_available(0x1234_0000)


def test_known_flags() -> None:
    """Probing loads nothing and tells known flags from unknown ones."""
    before = status(os.getpid())
    assert is_flag_available(FilterFlag.TSYNC)
    assert not is_flag_available(FilterFlag(1 << 30))
    assert actions_available()
    assert status(os.getpid()) == before

    def act() -> int:
        """Where something is loaded already, and where it would not show in the mode."""
        no_new_privs()
        load_filter(assemble(ALLOW_ALL))
        once = status(os.getpid())
        for flag in FilterFlag:
            is_flag_available(flag)
        return int(status(os.getpid()) == once)

    assert in_child(act) == 1


def test_notification_sizes() -> None:
    """seccomp_data has 64 bytes; the other structs hold it."""
    request, _, data = notification_sizes()
    assert data == 64
    assert request >= data


def test_loading_shows_in_proc() -> None:
    """Mode 2, one filter more, no_new_privs."""

    def act() -> int:
        before = status(os.getpid())
        no_new_privs()
        load_filter(assemble(ALLOW_ALL))
        after = status(os.getpid())
        grown = (after.filters or 0) - (before.filters or 0)
        return int(after.mode == 2 and after.no_new_privs and grown == 1)

    assert in_child(act) == 1


def test_refused_program() -> None:
    """An invalid program is EINVAL, and nothing is loaded."""
    assert in_child(lambda: loading((Instruction(Code.LD, 3), *ALLOW_ALL))) == errno.EINVAL


def test_listener_is_a_descriptor() -> None:
    """NEW_LISTENER returns one, a second is EBUSY."""

    def act() -> int:
        no_new_privs()
        listener = load_filter(assemble(ALLOW_ALL), FilterFlag.NEW_LISTENER)
        link = Path(f"/proc/self/fd/{listener}").readlink()
        assert str(link) == "anon_inode:seccomp notify"
        return loading(ALLOW_ALL, FilterFlag.NEW_LISTENER)

    assert in_child(act) == errno.EBUSY


def test_errno_of_call() -> None:
    """0 for a call that works, its errno for one that does not, also under a filter."""
    getpid, close = number(NATIVE_ABI, "getpid"), number(NATIVE_ABI, "close")
    assert getpid is not None
    assert close is not None
    assert errno_of_call(getpid) == 0
    assert errno_of_call(close, 1 << 20) == errno.EBADF
    assert errno_of_call(32_512) == errno.ENOSYS


@settings(max_examples=150, deadline=None)
@given(st.one_of(near_programs, valid_programs()))
def test_kernel_refuses_what_check_refuses(program: Program) -> None:
    """The kernel loads a program exactly when `check` passes it."""
    try:
        check(program)
    except InvalidProgram:
        expected = errno.EINVAL
    else:
        expected = 0
    assert in_child(lambda: loading(program)) == expected


@settings(max_examples=120, deadline=None)
@given(valid_programs(), st.tuples(*[st.integers(0, 2**64 - 1)] * 6))
def test_simulator_answers_as_the_kernel(
    program: Program, args: tuple[int, int, int, int, int, int]
) -> None:
    """Arbitrary arithmetic, run by the kernel on the probe's call: its answer mod 1024 as errno."""
    probe = 32_512
    computed = [Instruction(*_fields(each)) for each in program[:-1]]
    judged = (
        Instruction(Code.LD, 0),
        Instruction(Code.JEQ, probe, 1, 0),
        Instruction(Code.RET, ALLOW),
        *computed,
        Instruction(Code.AND, 0x3FF),
        Instruction(Code.OR, ERRNO(1024)),
        Instruction(Code.RET_A),
    )
    check(judged)
    data = SeccompData(probe, ABIS[NATIVE_ABI].audit_arch, args)
    answer, _ = simulate(judged, data)
    if answer == 0 or any(each.code == Code.LD and each.k in (8, 12) for each in computed):
        return

    def act() -> int:
        if loading(judged):
            return -2
        return errno_of_call(probe, *[_signed(value) for value in args])

    assert in_child(act) == answer & 0xFFF


def _fields(each: Instruction) -> tuple[int, int, int, int]:
    """The same instruction; an early return jumps to the common end instead."""
    if each.code in (Code.RET, Code.RET_A):
        return Code.LD_IMM, each.k, 0, 0
    return each.code, each.k, each.jt, each.jf


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


@pytest.mark.parametrize("flags", [FilterFlag.LOG, FilterFlag.SPEC_ALLOW, FilterFlag.TSYNC])
def test_flags_load(flags: FilterFlag) -> None:
    """Each flag is accepted with a program."""
    assert in_child(lambda: loading(ALLOW_ALL, flags)) == 0

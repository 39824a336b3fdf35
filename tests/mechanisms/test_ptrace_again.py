"""Where a task goes back to, and with which registers, when its call is made again."""

from __future__ import annotations

import struct

import pytest

from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.kernel import ptrace
from enforcer.mechanisms.ptrace.private import AGAIN, ANSWERS, DELIVER, HELLO
from enforcer.mechanisms.ptrace.registers import CallRegisters, narrow
from enforcer.syscalls import table

POINTER = 0x1_0000
THUMB = 0x20


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is written to the stopped task."""
    seen: list[bytes] = []
    monkeypatch.setattr(ptrace, "set_registers", lambda tid, content: seen.append(bytes(content)))
    return seen


def _word(abi: Abi) -> struct.Struct:
    return struct.Struct("=Q" if abi.layouts[0].word == 8 else "=I")


def _registers(abi: Abi, state: int = 0) -> bytes:
    content = bytearray(abi.layouts[0].size)
    layout, word = abi.layouts[0], _word(abi)
    word.pack_into(content, layout.instruction_pointer, POINTER)
    if layout.short_state is not None:
        word.pack_into(content, layout.short_state.offset, state)
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "state", "length"),
    [
        ("x86_64", 0, 2),
        ("i386", 0, 2),
        ("arm", 0, 4),
        ("arm", THUMB, 2),
        ("arm64", 0, 4),
        ("riscv64", 0, 4),
        ("s390x", 0, 2),
        ("ppc64le", 0, 4),
    ],
    ids=lambda value: str(value),
)
def test_the_call_is_made_again(name: str, state: int, length: int, written: list[bytes]) -> None:
    """The task goes back by the length of the very instruction that made the call."""
    abi = ABIS[name]
    CallRegisters().call_again(1, abi, _registers(abi, state))
    (found,) = _word(abi).unpack_from(written[0], abi.layouts[0].instruction_pointer)
    assert found == POINTER - length


def test_our_numbers_are_nobodys() -> None:
    """No ABI has a call by one of them; arm and s390x keep their bits; s390x hears the first."""
    ours = (HELLO, DELIVER, AGAIN, *ANSWERS.values())
    assert len(set(ours)) == len(ours)
    for abi in ABIS.values():
        calls = set(table(abi.name).values())
        assert not calls & {number | abi.nr_bit for number in ours}
    assert max(ours) < 1 << 15
    assert max(table("s390x").values()) > HELLO


def test_narrow_arguments_have_no_upper_halves() -> None:
    """What an ABI of 32 bits ignores is ignored; everything else stays."""
    wide = 0xFFFF_FFFF_0000_0001
    info = (3, 4, wide, wide, 5, wide, wide, wide, wide, wide, wide, 6)
    assert narrow(info) == (3, 4, wide, wide, 5, 1, 1, 1, 1, 1, 1, 6)

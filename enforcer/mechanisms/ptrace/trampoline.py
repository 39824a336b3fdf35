"""The short way back from a rewritten call: the task restores its own registers, without a stop.

A call that was changed must give every register back as it was. Where the ABI has a record here the
tracer sends the call's return to code beside the slots, which loads the registers from the slot and
jumps to where the call was made: that saves the exit stop, half the price of a judged open.

Nobody sees the borrowed registers. Every signal stops the task before a frame is made, and the
tracer then puts right what the code had still to do. A restart without a signal lands on the system
call instruction before the code, at which the task stops again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

from enforcer.mechanisms.ptrace.private import AGAIN

NAME_ROOM = 840
"""Bytes for a name with its NUL in a small slot."""
HOW_OFFSET = 848
REGISTERS_OFFSET = 880
HOW_SIZE = 24

FRAME = Struct("=QQQ8xQQQQQ")
"""struct open_how; at REGISTERS_OFFSET the arguments 0, 2, 3, the return address, argument 1."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """The code of one ABI. Offsets are within it; each entry has a call instruction before it.

    `absolute` asks again (by a call AGAIN) only after ELOOP, `relative` after every failure that an
    absolute name may have where a relative one has none. From `again` on, up to `restore`, the
    result is already known to be useless. `instruction_length` is that of the call instruction.
    """

    code: bytes
    absolute: int
    relative: int
    again: int
    restore: int
    instruction_length: int


def _x86_64() -> Way:
    again_at, restore_at, absolute, relative = 0x60, 0x80, 0x02, 0x22
    code = bytearray(b"\x0f\x0b" * 128)

    def put(offset: int, *parts: bytes) -> int:
        for part in parts:
            code[offset : offset + len(part)] = part
            offset += len(part)
        return offset

    def go_again_at(offset: int, number: int) -> int:
        # lea rcx, [rax + number]; jrcxz again: rax == -number, without touching a flag
        offset = put(offset, b"\x48\x8d\x48" + bytes([number]))
        return put(offset, b"\xe3" + bytes([again_at - (offset + 2)]))

    def to_restore(offset: int) -> None:
        put(offset, b"\xe9" + (restore_at - (offset + 5)).to_bytes(4, "little", signed=True))

    call = b"\x0f\x05"
    put(absolute - 2, call)
    to_restore(go_again_at(absolute, 40))
    put(relative - 2, call)
    offset = relative
    for number in (40, 2, 13, 20, 36):
        offset = go_again_at(offset, number)
    to_restore(offset)
    put(again_at, b"\xb8" + AGAIN.to_bytes(4, "little"), call)
    loads = (b"\x48\x8b\xbe", b"\x48\x8b\x96", b"\x4c\x8b\x96", b"\x48\x8b\x8e", b"\x48\x8b\xb6")
    offset = restore_at
    for place, load in enumerate(loads):  # rdi, rdx, r10, rcx, at last rsi, each from [rsi + ...]
        offset = put(offset, load + (REGISTERS_OFFSET + 8 * place).to_bytes(4, "little"))
    put(offset, b"\xff\xe1")  # jmp rcx, which holds what the call instruction itself leaves there
    return Way(
        code=bytes(code),
        absolute=absolute,
        relative=relative,
        again=again_at,
        restore=restore_at,
        instruction_length=2,
    )


WAYS: Mapping[str, Way] = {"x86_64": _x86_64()}
"""By ABI. The C compiler may keep values in every register but the result, rcx and r11."""

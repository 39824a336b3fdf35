"""Changing a stopped task's call, by the register records of its ABI."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Literal

from enforcer.arch import by_audit_arch
from enforcer.arch.record import Abi, NumberRegset, RegisterLayout
from enforcer.kernel import ptrace
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.trampoline import Way

_WORDS = {4: Struct("=I"), 8: Struct("=Q")}
_CANCELLED = (1 << 64) - 1
_BYTE_ORDER: Literal["little", "big"] = sys.byteorder


class FrozenArgument(Exception):
    """This kernel cannot change the argument while the call is held."""


NARROW = 32
"""The `bits` of an ABI whose kernel takes the lower halves of registers only."""


def narrow(info: SyscallInfo) -> SyscallInfo:
    """A call as an ABI of 32 bits takes it: what else its registers hold does not count."""
    op, arch, pointer, stack, number, a, b, c, d, e, f, data = info
    low = 0xFFFF_FFFF
    return (
        op,
        arch,
        pointer,
        stack,
        number,
        a & low,
        b & low,
        c & low,
        d & low,
        e & low,
        f & low,
        data,
    )


def abis_by_audit_arch(abis: Sequence[Abi]) -> Mapping[int, Abi]:
    """The ABI that each AUDIT_ARCH of a filter's tables stands for (x32 is killed there)."""
    return {
        abi.audit_arch: next(a for a in by_audit_arch(abi.audit_arch) if not a.nr_bit)
        for abi in abis
        if not abi.nr_bit
    }


class CallRegisters:
    """How one tracer rewrites calls: in one request where the kernel can (Linux 6.16)."""

    def __init__(self) -> None:
        self.has_set_syscall_info = True
        self._send_to: dict[int, ptrace.Poke] = {}

    @staticmethod
    def of_call(tid: int, abi: Abi, info: SyscallInfo) -> bytes:
        """At a seccomp stop: the task's registers as it had them when it made the call of `info`.

        Raises TaskGone.
        """
        content = bytearray(ptrace.registers(tid))
        layout = abi.layout(len(content))
        word = _WORDS[layout.word]
        if 0 in layout.frozen_arguments:
            word.pack_into(content, layout.first_argument, info[5])
        elif layout.first_argument != layout.arguments[0]:
            (first,) = word.unpack_from(content, layout.arguments[0])
            word.pack_into(content, layout.first_argument, first)
        return bytes(content)

    def rewrite(
        self, tid: int, info: SyscallInfo, abi: Abi, number: int, arguments: Sequence[int]
    ) -> None:
        """At an entry or seccomp stop: make the kernel carry out another call than that of `info`.

        Raises TaskGone, FrozenArgument (nothing was changed), and OSError, which ends the sandbox.
        """
        if self.has_set_syscall_info:
            words = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
            try:
                ptrace.set_syscall_info(tid, info[0], number & _CANCELLED, words)
            except OSError as error:
                if error.errno not in (errno.EIO, errno.EINVAL):
                    raise
                self.has_set_syscall_info = False
            else:
                return
        content = bytearray(ptrace.registers(tid))
        layout = abi.layout(len(content))
        put = _WORDS[layout.word].pack_into
        mask = (1 << 8 * layout.word) - 1
        for index, (offset, value) in enumerate(zip(layout.arguments, arguments, strict=False)):
            if index not in layout.frozen_arguments:
                put(content, offset, value & mask)
            elif (info[5 + index] ^ value) & mask:
                raise FrozenArgument(abi.name, index)
        put(content, layout.number, number & mask)
        ptrace.set_registers(tid, content)
        self._write_number(tid, layout, number)

    def send(
        self,
        tid: int,
        info: SyscallInfo,
        abi: Abi,
        number: int,
        arguments: tuple[int, int, int, int, int, int],
        pointer: int,
    ) -> None:
        """At a seccomp stop of the usual layout: another call, which returns to `pointer`."""
        self.rewrite(tid, info, abi, number, arguments)
        poke = self._send_to.get(info[1])
        if poke is None:
            poke = self._send_to[info[1]] = ptrace.poking(abi.layouts[0].instruction_pointer)
        poke(tid, ptrace.word(pointer))

    def bring_back(self, tid: int, abi: Abi, info: SyscallInfo, way: Way, base: int) -> bool:
        """Give a task all its own registers if it is on its way back, as if there were no such way.

        `base` is where the way's code lies, `info` the call that the task had made. Where the
        result is useless its call is made again. True if the task was on its way.
        """
        content = bytearray(ptrace.registers(tid))
        layout = abi.layouts[0]
        word = _WORDS[layout.word]
        at = word.unpack_from(content, layout.instruction_pointer)[0] - base
        if len(content) != layout.size or not 0 <= at < len(way.code):
            return False
        before = (way.absolute - way.instruction_length, way.relative - way.instruction_length)
        useless = way.again <= at < way.restore or at in before
        pointer = info[2]
        for offset, value in zip(layout.arguments, info[5:11], strict=True):
            word.pack_into(content, offset, value)
        shown = word.unpack_from(content, layout.number)[0]
        if useless:
            pointer -= way.instruction_length
            word.pack_into(content, layout.result, info[4])
        elif not shown >> (8 * layout.word - 1):
            word.pack_into(content, layout.number, info[4])
        word.pack_into(content, layout.instruction_pointer, pointer)
        ptrace.set_registers(tid, content)
        return True

    def call_as_before(self, tid: int, abi: Abi, info: SyscallInfo) -> None:
        """At a seccomp stop on the way back: as if the task made the call of `info` just now."""
        content = bytearray(ptrace.registers(tid))
        layout = abi.layouts[0]
        word = _WORDS[layout.word]
        for offset, value in zip(layout.arguments, info[5:11], strict=True):
            word.pack_into(content, offset, value)
        word.pack_into(content, layout.number, info[4])
        word.pack_into(content, layout.instruction_pointer, info[2])
        self._put_result(content, layout, -errno.ENOSYS)
        ptrace.set_registers(tid, content)

    def cancel(self, tid: int, abi: Abi, result: int) -> None:
        """At a seccomp stop: the call is not carried out and gives `result` (or -errno).

        (At a plain entry stop the kernel itself puts -ENOSYS there on some architectures.)
        """
        size = ptrace.load_registers(tid)
        layout = abi.layout(size)
        put = _WORDS[layout.word].pack_into
        mask = (1 << 8 * layout.word) - 1
        window = ptrace.register_window
        if layout.number_write is None:  # else it is one of the task's own registers
            put(window, layout.number, _CANCELLED & mask)
        put(window, layout.result, result & mask)  # which the kernel marks where it must
        ptrace.store_registers(tid, size)
        if layout.number_write is not None:
            self._write_number(tid, layout, _CANCELLED)

    def restore(self, tid: int, abi: Abi, saved: bytes, result: int | None = None) -> None:
        """At an exit stop: every register as at the entry, but the result that of now (or given).

        The number comes back too, so that a restart after a signal repeats the original call.
        """
        content = bytearray(saved)
        layout = abi.layout(len(content))
        if result is None:
            current = ptrace.registers(tid)
            place = slice(layout.result, layout.result + layout.word)
            content[place] = current[place]
            flag = layout.error_flag
            if flag is not None:
                place = slice(flag.offset, flag.offset + layout.word)
                content[place] = current[place]
        else:
            self._put_result(content, layout, result)
        ptrace.set_registers(tid, content)

    def call_again(
        self, tid: int, abi: Abi, saved: bytes, number: int = -1, arguments: Sequence[int] = ()
    ) -> None:
        """At an exit stop: back before the system call instruction.

        It then makes call `number`, or without one the call of which `saved` are the registers.
        """
        content = bytearray(saved)
        layout = abi.layout(len(content))
        word = _WORDS[layout.word]
        mask = (1 << 8 * layout.word) - 1
        if number < 0:
            number = word.unpack_from(saved, layout.number)[0]
        if layout.result not in layout.arguments and layout.result != layout.number:
            word.pack_into(content, layout.result, number & mask)
        if layout.number != layout.result:
            word.pack_into(content, layout.number, number & mask)
        for offset, value in zip(layout.arguments, arguments, strict=False):
            word.pack_into(content, offset, value & mask)
        pointer = word.unpack_from(content, layout.instruction_pointer)[0]
        length = len(abi.syscall_instruction)
        short = layout.short_state
        if short is not None and word.unpack_from(saved, short.offset)[0] & short.bit:
            length = short.length
        word.pack_into(content, layout.instruction_pointer, pointer - length)
        ptrace.set_registers(tid, content)

    @staticmethod
    def _put_result(content: bytearray, layout: RegisterLayout, result: int) -> None:
        word = _WORDS[layout.word]
        flag = layout.error_flag
        if (
            flag is not None
            and word.unpack_from(content, flag.kind)[0] & ~0xF != flag.negative_kind
        ):
            state = word.unpack_from(content, flag.offset)[0] & ~flag.bit
            if -4096 < result < 0:
                state |= flag.bit
                result = -result
            word.pack_into(content, flag.offset, state)
        word.pack_into(content, layout.result, result & ((1 << 8 * layout.word) - 1))

    @staticmethod
    def _write_number(tid: int, layout: RegisterLayout, number: int) -> None:
        way = layout.number_write
        if isinstance(way, NumberRegset):
            only = (number & ((1 << 8 * way.size) - 1)).to_bytes(way.size, _BYTE_ORDER)
            try:
                ptrace.set_registers(tid, only, way.note)
            except OSError as error:
                if error.errno != errno.EINVAL or layout.number_request is None:
                    raise
                ptrace.set_call_number(layout.number_request, tid, number)
        elif way is not None:
            content = bytearray(ptrace.registers(tid))
            word = _WORDS[layout.word]
            word.pack_into(content, way, number & ((1 << 8 * layout.word) - 1))
            ptrace.set_registers(tid, content)

"""A filter as people read it: calls, registers, constants and answers by name.

The program is followed once from the top. Because BPF jumps forward only, it is then known at every
instruction what the accumulator holds and which calls can come there.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from enforcer.arch import by_audit_arch
from enforcer.cbpf.instruction import BRANCHES, Code, Instruction, Program
from enforcer.cbpf.names import constant_name
from enforcer.cbpf.reach import Calls, Subject, follow
from enforcer.cbpf.spec import ACTION_MASK, ACTION_NAMES, DATA_MASK
from enforcer.syscalls import name, syscall
from enforcer.syscalls.model import Argument

_SHOWN = 4
_SIGNS: Mapping[int, str] = {Code.JEQ: "==", Code.JGT: ">", Code.JGE: ">=", Code.JSET: "&"}
_FIELDS = {0: "nr", 4: "arch"}


def listing(program: Program, *, big_endian: bool = False) -> str:
    """One line an instruction, headings where the calls in question change.

    Branches show where they go when they hold and when not; `.` is the next line.
    """
    states = follow(program)
    lines: list[str] = []
    heading = ""
    for index, instruction in enumerate(program):
        state = states[index]
        if state is None:
            lines.append(f"{index:5}  {_mnemonic(instruction):28}  unreachable")
            continue
        calls = _calls(state.calls)
        if calls and calls != heading:
            lines.append(f"       -- {calls}")
        heading = calls
        line = _Line(index, instruction, state.subject, state.calls, big_endian)
        lines.append(f"{index:5}  {line.text()}".rstrip())
    return "\n".join(lines) + "\n"


def answer_name(answer: int) -> str:
    """SECCOMP_RET_* without its prefix, with its data: `ERRNO(1 EPERM)`."""
    action, data = answer & ACTION_MASK, answer & DATA_MASK
    word = ACTION_NAMES.get(action)
    if word is None:
        return f"{answer:#010x} (as KILL_PROCESS)"
    if word == "ERRNO":
        known = errno.errorcode.get(data)
        return f"ERRNO({data} {known})" if known else f"ERRNO({data})"
    return f"{word}({data})" if data else word


@dataclass(frozen=True)
class _Line:
    index: int
    instruction: Instruction
    subject: Subject | None
    calls: Calls
    big_endian: bool

    def text(self) -> str:
        code, k = self.instruction.code, self.instruction.k
        match code:
            case Code.LD:
                return f"ld    {_field(k, self.big_endian)}"
            case Code.AND:
                return f"and   {k:#x}"
            case Code.RET:
                return f"ret   {answer_name(k)}"
            case Code.JA:
                return f"ja    {self.index + 1 + k}"
            case Code.JEQ | Code.JGT | Code.JGE | Code.JSET:
                return f"{self._test():46} {self._way(self.instruction.jt)} : {self._no()}"
            case _:
                return _mnemonic(self.instruction)

    def _test(self) -> str:
        subject = self.subject
        shown = "?" if subject is None else _field(subject.offset, self.big_endian)
        if subject is not None and subject.mask != 0xFFFF_FFFF:
            shown = f"({shown} & {subject.mask:#x})"
        return f"if    {shown} {_SIGNS[self.instruction.code]} {self._constant()}"

    def _constant(self) -> str:
        k, subject = self.instruction.k, self.subject
        if subject is None:
            return f"{k:#x}"
        if subject.offset == 4:
            return " or ".join(abi.name for abi in by_audit_arch(k)) or f"{k:#x}"
        if subject.offset == 0:
            return (f"{k:#x}" if k > 0xFFFF else f"{k}") + self._called(k)
        argument = _argument(self.calls, subject.offset)
        named = argument and constant_name(*argument, k)
        return f"{k:#x}" + (f" ({named})" if named else "")

    def _called(self, nr: int) -> str:
        found = {
            called
            for arch in self.calls
            if arch is not None
            for abi in by_audit_arch(arch)
            if (called := name(abi.name, nr)) is not None
        }
        return f" ({found.pop()})" if len(found) == 1 else ""

    def _way(self, distance: int) -> str:
        return f"{self.index + 1 + distance}" if distance else "."

    def _no(self) -> str:
        return self._way(self.instruction.jf)


def _field(offset: int, big_endian: bool) -> str:
    if offset in _FIELDS:
        return _FIELDS[offset]
    half = "high" if (offset // 4 % 2 == 1) != big_endian else "low"
    if offset < 16:
        return f"ip.{half}"
    return f"arg{(offset - 16) // 8}.{half}"


def _mnemonic(instruction: Instruction) -> str:
    code = instruction.code
    word = Code(code).name.lower() if code in set(Code) else f"op {code:#06x}"
    if code in BRANCHES:
        return f"{word} {instruction.k:#x} {instruction.jt} {instruction.jf}"
    return f"{word:5} {instruction.k:#x}"


def _listed(calls: Calls) -> list[tuple[str, str]]:
    """The calls as (ABI, name), at most one more than are shown; empty if a range is too wide."""
    found: list[tuple[str, str]] = []
    for arch, numbers in calls.items():
        if arch is None or numbers.size > _SHOWN:
            return []
        for nr in numbers:
            found += [
                (abi.name, called)
                for abi in by_audit_arch(arch)
                if (called := name(abi.name, nr)) is not None
            ]
    return found


def _calls(calls: Calls) -> str:
    """The calls that come here as `ioctl (x86_64, i386)`, empty if there are many."""
    by_name: dict[str, list[str]] = {}
    for abi, called in _listed(calls):
        by_name.setdefault(called, []).append(abi)
    if len(by_name) > _SHOWN:
        return ""
    return ", ".join(f"{called} ({', '.join(abis)})" for called, abis in by_name.items())


def _argument(calls: Calls, offset: int) -> tuple[str, str, Argument] | None:
    """An ABI, the call and its argument that lies at `offset`, if one call alone comes here."""
    listed = _listed(calls)
    if len({called for _, called in listed}) != 1 or offset < 16:
        return None
    abi, called = listed[0]
    for argument in syscall(called, abi).arguments:
        if argument.index == (offset - 16) // 8:
            return abi, called, argument
    return None

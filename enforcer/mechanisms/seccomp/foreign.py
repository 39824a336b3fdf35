"""Run a command under a filter of others, instruction for instruction.

A short piece goes before the program: it lets the launcher's one execve pass and answers the
witness's probe. All jumps are relative, so that what follows it is the program as it was.
"""

from __future__ import annotations

from enforcer.arch.record import Abi
from enforcer.cbpf.instruction import (
    ARCH_OFFSET,
    LIMIT,
    NR_OFFSET,
    Code,
    Instruction,
    Program,
    argument_offsets,
    assemble,
)
from enforcer.cbpf.spec import ALLOW, ERRNO
from enforcer.mechanisms.contract import MechanismName, Plan
from enforcer.mechanisms.seccomp import PROBE
from enforcer.syscalls import number

_FIRST_MARK = 0xFACE_0001
_REGISTERS = 3
"""Those of execve, by whose pointers the launcher's own call is told."""


def plan_of(program: Program, abis: tuple[Abi, ...]) -> Plan:
    """What `Seccomp.launch` takes. Raises ValueError where the kernel would not load it."""
    before, marks = launch_piece(abis[0])
    whole = (*before, *program)
    if len(whole) > LIMIT:
        raise ValueError(f"{len(program)} instructions leave no room for the launch")
    return Plan(
        mechanism=MechanismName.SECCOMP,
        machine=abis[0].name,
        data={
            "program": assemble(whole, big_endian=abis[0].big_endian).hex(),
            "big_endian": abis[0].big_endian,
            "passes": list(marks),
            "flags": 0,
            "abis": [abi.name for abi in abis],
            "inexpressible": [],
        },
    )


def launch_piece(abi: Abi) -> tuple[Program, tuple[int, ...]]:
    """The piece before the program, and the marks in it for the halves of execve's registers."""
    execve = number(abi.name, "execve")
    assert execve is not None
    marks = tuple(_FIRST_MARK + place for place in range(2 * _REGISTERS))
    words = [
        offset
        for register in range(_REGISTERS)
        for offset in argument_offsets(register, big_endian=abi.big_endian)
    ]
    tests = [(ARCH_OFFSET, abi.audit_arch), (NR_OFFSET, execve), *zip(words, marks, strict=True)]
    found: list[Instruction] = [
        Instruction(Code.LD, NR_OFFSET),
        Instruction(Code.JEQ, PROBE.number, 0, 1),
        Instruction(Code.RET, ERRNO(PROBE.errno)),
    ]
    left = 2 * len(tests) + 1
    for offset, value in tests:
        left -= 2
        found += [Instruction(Code.LD, offset), Instruction(Code.JEQ, value, 0, left)]
    # The accumulator is zero where a program begins.
    found += [Instruction(Code.RET, ALLOW), Instruction(Code.LD_IMM, 0)]
    return tuple(found), marks

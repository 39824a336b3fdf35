"""Classic BPF for seccomp: specification, compilers, simulators, listing."""

from __future__ import annotations

from enforcer.cbpf.check import InvalidProgram, check
from enforcer.cbpf.compiler import FilterTooLarge, compile_filter
from enforcer.cbpf.instruction import Code, Instruction, Program, assemble, disassemble
from enforcer.cbpf.simulate import simulate
from enforcer.cbpf.spec import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    LOG,
    TRACE,
    USER_NOTIF,
    AbiTable,
    FilterSpec,
    SeccompData,
    SpecClause,
    always,
    evaluate,
)

__all__ = [
    "ALLOW",
    "ERRNO",
    "KILL_PROCESS",
    "LOG",
    "TRACE",
    "USER_NOTIF",
    "AbiTable",
    "Code",
    "FilterSpec",
    "FilterTooLarge",
    "Instruction",
    "InvalidProgram",
    "Program",
    "SeccompData",
    "SpecClause",
    "always",
    "assemble",
    "check",
    "compile_filter",
    "disassemble",
    "evaluate",
    "simulate",
]

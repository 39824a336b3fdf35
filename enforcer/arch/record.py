"""The records that hold every fact about an architecture and its calling conventions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Abi:
    """One calling convention of the kernel.

    `audit_arch` is AUDIT_ARCH_* as seccomp_data.arch and PTRACE_GET_SYSCALL_INFO report it.
    `nr_bit` is or-ed into every number (x32: 0x40000000). `multiplexers` are the calls that stand
    for others (socketcall, ipc).
    """

    name: str
    audit_arch: int
    bits: int
    big_endian: bool = False
    nr_bit: int = 0
    multiplexers: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Arch:
    """One machine architecture: `name` as `harness --arch` spells it, `machines` as uname does.

    `abis` are those that a kernel of this architecture can serve, the native one first.
    """

    name: str
    machines: frozenset[str]
    abis: tuple[Abi, ...]
    debian: str
    instruction_length: dict[str, int]

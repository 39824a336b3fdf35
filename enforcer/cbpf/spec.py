"""What a filter must answer, as data: the specification that compilers are held against.

For every ABI a table from call numbers to clauses; `evaluate` says what a table means. Nothing
here knows of policies or of BPF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct

from enforcer.arch.record import Abi
from enforcer.condition import TRUE, Condition, holds

KILL_PROCESS = 0x8000_0000
KILL_THREAD = 0x0000_0000
TRAP = 0x0003_0000
_ERRNO = 0x0005_0000
USER_NOTIF = 0x7FC0_0000
_TRACE = 0x7FF0_0000
LOG = 0x7FFC_0000
ALLOW = 0x7FFF_0000

ACTION_MASK = 0xFFFF_0000
DATA_MASK = 0x0000_FFFF
MAX_ERRNO = 4095
CANCELLED = 0xFFFF_FFFF
"""The number -1, by which a tracer cancels a call: of no ABI, with bit 30 set all the same."""

_ARCH_LITTLE_ENDIAN = 0x4000_0000


def ERRNO(number: int) -> int:
    """The answer that fails the call with errno `number`, 0 (success without a call) to 4095."""
    if not 0 <= number <= MAX_ERRNO:
        raise ValueError(f"errno {number} is not in 0..{MAX_ERRNO}")
    return _ERRNO | number


def TRACE(data: int = 0) -> int:
    """The answer that stops the task for its tracer, which reads `data`; ENOSYS without one."""
    if not 0 <= data <= DATA_MASK:
        raise ValueError(f"trace data {data} is not in 0..{DATA_MASK}")
    return _TRACE | data


ACTION_NAMES: Mapping[int, str] = {
    KILL_PROCESS: "KILL_PROCESS",
    KILL_THREAD: "KILL_THREAD",
    TRAP: "TRAP",
    _ERRNO: "ERRNO",
    USER_NOTIF: "USER_NOTIF",
    _TRACE: "TRACE",
    LOG: "LOG",
    ALLOW: "ALLOW",
}
"""The kernel's actions, without SECCOMP_RET_. Any other is treated as KILL_PROCESS."""


@dataclass(frozen=True)
class SeccompData:
    """What a filter sees of one call: struct seccomp_data. All values unsigned."""

    nr: int
    arch: int
    args: tuple[int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0)
    instruction_pointer: int = 0

    @property
    def big_endian(self) -> bool:
        """The byte order of the machine, which AUDIT_ARCH_* tells."""
        return not self.arch & _ARCH_LITTLE_ENDIAN

    def words(self) -> tuple[int, ...]:
        """The sixteen 32-bit words as the machine's byte order lays them out."""
        fields, words = _LAYOUTS[self.big_endian]
        return words.unpack(fields.pack(self.nr, self.arch, self.instruction_pointer, *self.args))


_LAYOUTS = {
    big_endian: (Struct(f"{order}IIQ6Q"), Struct(f"{order}16I"))
    for big_endian, order in ((False, "<"), (True, ">"))
}
"""struct seccomp_data by its fields and by its words."""


@dataclass(frozen=True)
class SpecClause:
    """`answer` (SECCOMP_RET_* | data) where `when` holds. `origin` names the rule in messages."""

    when: Condition
    answer: int
    origin: str = field(default="", compare=False)


def always(answer: int, origin: str = "") -> tuple[SpecClause, ...]:
    """The clauses of a call that is always answered alike."""
    return (SpecClause(TRUE, answer, origin),)


@dataclass(frozen=True)
class AbiTable:
    """The calls of one ABI by the numbers that the kernel reports (x32's with their bit).

    The first clause whose condition holds answers; when none does, or the number is not listed,
    `unknown` does. An ABI that shares its AUDIT_ARCH with others takes the numbers that carry its
    `nr_bit`; a number without any such bit belongs to the one that has none.
    """

    abi: Abi
    calls: Mapping[int, tuple[SpecClause, ...]]
    unknown: int


@dataclass(frozen=True)
class FilterSpec:
    """A whole filter: `foreign` answers every ABI without a table."""

    tables: tuple[AbiTable, ...]
    foreign: int


def register_mask(abi: Abi) -> int:
    """The bits of a register that count for a call of `abi`.

    A 32-bit call takes the low halves, whatever a 64-bit task left in the upper ones before
    `int 0x80`: seccomp_data then shows them, the call does not see them.
    """
    return (1 << abi.bits) - 1


def table_of(spec: FilterSpec, arch: int, nr: int) -> AbiTable | None:
    """The table that answers number `nr` under AUDIT_ARCH `arch`; None: foreign."""
    plain = None
    for table in spec.tables:
        if table.abi.audit_arch != arch:
            continue
        bit = table.abi.nr_bit
        if bit == 0:
            plain = table
        elif nr & bit and nr != CANCELLED:
            return table
    return plain


def evaluate(spec: FilterSpec, data: SeccompData) -> int:
    """The answer that `spec` gives to one call."""
    table = table_of(spec, data.arch, data.nr)
    if table is None:
        return spec.foreign
    return evaluate_clauses(table, data.nr, data.args)


def evaluate_clauses(table: AbiTable, nr: int, args: Sequence[int]) -> int:
    """The answer of one table to number `nr` with these registers."""
    clauses = table.calls.get(nr, ())
    if clauses and clauses[0].when == TRUE:
        return clauses[0].answer
    mask = register_mask(table.abi)
    registers = [value & mask for value in args]
    for clause in clauses:
        if holds(clause.when, registers):
            return clause.answer
    return table.unknown

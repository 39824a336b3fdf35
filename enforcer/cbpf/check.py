"""The checks by which the kernel refuses a filter: bpf_check_classic and seccomp_check_filter.

Sources: net/core/filter.c and kernel/seccomp.c of Linux 6.18. The order of the kernel's checks is
not kept; whether a program passes is.
"""

from __future__ import annotations

from enforcer.cbpf.instruction import (
    BRANCHES,
    DATA_SIZE,
    LIMIT,
    LONGEST_BRANCH,
    SCRATCH_WORDS,
    Code,
    Instruction,
    Program,
)

_SCRATCH = frozenset({Code.LD_MEM, Code.LDX_MEM, Code.ST, Code.STX})
_READS = frozenset({Code.LD_MEM, Code.LDX_MEM})
_RETURNS = frozenset({Code.RET, Code.RET_A})


class InvalidProgram(Exception):
    """The kernel would refuse the program; `index` is the offending instruction."""

    def __init__(self, index: int, reason: str) -> None:
        self.index = index
        self.reason = reason
        super().__init__(f"instruction {index}: {reason}")


def check(program: Program) -> None:
    """Raise InvalidProgram if the kernel would not load `program`."""
    if not program:
        raise InvalidProgram(0, "the program is empty")
    if len(program) > LIMIT:
        raise InvalidProgram(LIMIT, f"{len(program)} instructions, {LIMIT} are allowed")
    for index, instruction in enumerate(program):
        reason = _fault(instruction, left=len(program) - index - 1)
        if reason:
            raise InvalidProgram(index, reason)
    if program[-1].code not in _RETURNS:
        raise InvalidProgram(len(program) - 1, "the program does not end in a return")
    _check_scratch(program)


def _fault(instruction: Instruction, *, left: int) -> str:
    """What is wrong with one instruction that has `left` more after it; empty: nothing."""
    code, k = instruction.code, instruction.k
    if code not in _CODES:
        return f"operation {code:#06x} is not allowed in a seccomp filter"
    if code == Code.LD and (k % 4 or k >= DATA_SIZE):
        return f"load from offset {k}, which is no word of seccomp_data"
    if code == Code.DIV and k == 0:
        return "division by the constant 0"
    if code in (Code.LSH, Code.RSH) and k >= 32:
        return f"shift by {k} of 32 bits"
    if code in _SCRATCH and k >= SCRATCH_WORDS:
        return f"scratch word {k} of {SCRATCH_WORDS}"
    if code == Code.JA and k >= left:
        return f"jump by {k} past the end"
    if max(instruction.jt, instruction.jf) > LONGEST_BRANCH:
        return f"branch by {max(instruction.jt, instruction.jf)}, which eight bits do not hold"
    if code in BRANCHES and max(instruction.jt, instruction.jf) >= left:
        return f"branch by {max(instruction.jt, instruction.jf)} past the end"
    return ""


_CODES = frozenset(int(code) for code in Code)


def _check_scratch(program: Program) -> None:
    """Every scratch word that is read was written on every way to the reader."""
    everything = (1 << SCRATCH_WORDS) - 1
    written = [everything] * len(program)
    known = 0
    for index, instruction in enumerate(program):
        known &= written[index]
        code, k = instruction.code, instruction.k
        if code in (Code.ST, Code.STX):
            known |= 1 << k
        elif code in _READS:
            if not known >> k & 1:
                raise InvalidProgram(index, f"scratch word {k} is read before it is written")
        elif code == Code.JA:
            written[index + 1 + k] &= known
            known = everything
        elif code in BRANCHES:
            written[index + 1 + instruction.jt] &= known
            written[index + 1 + instruction.jf] &= known
            known = everything

"""What the kernel refuses, `check` refuses, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from enforcer.cbpf import Code, Instruction, InvalidProgram, Program, check
from enforcer.cbpf.instruction import LIMIT
from tests.cbpf.programs import valid_programs

END = Instruction(Code.RET, 0)


@pytest.mark.parametrize(
    ("program", "index", "reason"),
    [
        ((), 0, "empty"),
        ((END,) * (LIMIT + 1), LIMIT, "4096 are allowed"),
        ((Instruction(0x94, 3), END), 0, "operation 0x0094"),
        ((Instruction(Code.LD, 2), END), 0, "no word"),
        ((Instruction(Code.LD, 64), END), 0, "no word"),
        ((Instruction(Code.DIV, 0), END), 0, "division"),
        ((Instruction(Code.RSH, 32), END), 0, "shift"),
        ((Instruction(Code.LSH, 32), END), 0, "shift"),
        ((Instruction(Code.ST, 16), END), 0, "scratch word 16"),
        ((Instruction(Code.JA, 1), END), 0, "past the end"),
        ((Instruction(Code.JA, 0xFFFF_FFFF), END), 0, "past the end"),
        ((Instruction(Code.JEQ, 0, 1, 0), END), 0, "past the end"),
        ((Instruction(Code.JEQ, 0, 0, 1), END), 0, "past the end"),
        ((Instruction(Code.JEQ, 0, 256, 0), *(END,) * 300), 0, "eight bits"),
        ((Instruction(Code.LD_IMM, 0),), 0, "does not end"),
        ((Instruction(Code.LD_MEM, 3), END), 0, "before it is written"),
        (
            (
                Instruction(Code.JEQ, 0, 0, 1),
                Instruction(Code.ST, 3),
                Instruction(Code.LDX_MEM, 3),
                END,
            ),
            2,
            "before it is written",
        ),
        (
            (Instruction(Code.JA, 1), Instruction(Code.ST, 3), Instruction(Code.LD_MEM, 3), END),
            2,
            "before it is written",
        ),
    ],
)
def test_refusals_name_instruction_and_reason(program: Program, index: int, reason: str) -> None:
    """Each rule of the kernel's two checks."""
    with pytest.raises(InvalidProgram, match=reason) as caught:
        check(program)
    assert caught.value.index == index
    assert reason in caught.value.reason


def test_largest_program_passes() -> None:
    """4096 instructions are allowed."""
    check((END,) * LIMIT)


@settings(max_examples=100, deadline=None)
@given(valid_programs())
def test_programs_that_set_what_they_read_pass(program: Program) -> None:
    """The strategy for valid programs makes valid programs."""
    check(program)

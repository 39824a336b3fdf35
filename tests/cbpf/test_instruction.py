"""Instructions in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.cbpf import Code, Instruction, Program, assemble, disassemble
from enforcer.cbpf.instruction import argument_offsets
from tests.cbpf.programs import near_programs


def test_memory_form_is_struct_sock_filter() -> None:
    """code, jt, jf, k, in the byte order asked for."""
    program = (Instruction(Code.JEQ, 0x0102_0304, 5, 6),)
    assert assemble(program) == bytes.fromhex("1500 05 06 04030201")
    assert assemble(program, big_endian=True) == bytes.fromhex("0015 05 06 01020304")


@given(near_programs, st.booleans())
def test_disassembly_inverts_assembly(program: Program, big_endian: bool) -> None:
    """Whatever the program, unknown operations included."""
    raw = assemble(program, big_endian=big_endian)
    assert disassemble(raw, big_endian=big_endian) == program


def test_known_operations_come_back_by_name() -> None:
    """So that listings can show them."""
    assert disassemble(assemble((Instruction(0x06, 1),)))[0].code is Code.RET


def test_half_an_instruction_is_refused() -> None:
    """A truncated file is an error."""
    with pytest.raises(ValueError, match="9 bytes"):
        disassemble(bytes(9))


def test_halves_of_arguments() -> None:
    """Low half first on little-endian machines, last on big-endian ones."""
    assert argument_offsets(0, big_endian=False) == (16, 20)
    assert argument_offsets(5, big_endian=True) == (60, 56)

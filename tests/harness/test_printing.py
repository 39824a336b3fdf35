"""What compilers of others print: kafel's initialisers of a C array."""

from __future__ import annotations

import pytest

from enforcer.cbpf.instruction import Code, Instruction
from harness.runtimes.printing import parse_step


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (
            "BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),",
            Instruction(Code.LD, 4),
        ),
        (
            "BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]) + "
            "sizeof(__u32)),",
            Instruction(Code.LD, 28),
        ),
        (
            "BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x2u, 16, 0),",
            Instruction(Code.JGE, 2, 16, 0),
        ),
        ("BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffu),", Instruction(Code.AND, 0xFF)),
        ("BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 13),", Instruction(Code.RET, 0x5000D)),
        ("BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),", Instruction(Code.RET, 0)),
    ],
)
def test_a_step(line: str, step: Instruction) -> None:
    """Codes and offsets by name become the instruction."""
    assert parse_step(line) == step


def test_what_is_no_step() -> None:
    """A word that nobody knows is an error, and no other instruction."""
    with pytest.raises(ValueError, match="BPF_NEW"):
        parse_step("BPF_STMT(BPF_NEW | BPF_K, 0),")

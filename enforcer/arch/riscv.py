"""riscv64. Source: arch/riscv/include/uapi/asm/ptrace.h, arch/riscv/kernel/traps.c."""

from __future__ import annotations

from enforcer.arch.record import Abi, Arch, RegisterLayout

RISCV64 = Abi(
    name="riscv64",
    audit_arch=0xC000_00F3,
    bits=64,
    tag_bits=0xFFFF_0000_0000_0000,  # pointer masking with PMLEN 16
    pointer_size=8,
    layouts=(
        RegisterLayout(
            size=256,
            word=8,
            number=136,
            arguments=(80, 88, 96, 104, 112, 120),
            result=80,
            instruction_pointer=0,
            stack_pointer=16,
            # The kernel takes argument 0 from orig_a0, which no regset shows.
            frozen_arguments=frozenset({0}),
            number_is_kept=True,
        ),
    ),
    syscall_instruction=bytes.fromhex("73000000"),
    e_machine=243,
)

RISCV64_ARCH = Arch(
    name="riscv64",
    machines=frozenset({"riscv64"}),
    abis=(RISCV64,),
    debian="riscv64",
    aliases=frozenset({"riscv"}),
)

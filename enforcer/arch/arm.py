"""arm (EABI) and arm64, whose kernels also run arm programs.

Sources: arch/arm/include/uapi/asm/ptrace.h, arch/arm64/include/uapi/asm/ptrace.h,
arch/arm64/kernel/ptrace.c (a native tracer sees a compat task's 32-bit regset).
"""

from __future__ import annotations

from enforcer.arch.record import Abi, Arch, NumberRegset, RegisterLayout, ShortState

NT_ARM_SYSTEM_CALL = 0x404
PTRACE_SET_SYSCALL = 23

_NUMBER = NumberRegset(note=NT_ARM_SYSTEM_CALL, size=4)
"""A regset of arm64 kernels, for both kinds of task."""

_ARM_LAYOUT = RegisterLayout(
    size=72,
    word=4,
    number=28,
    arguments=(0, 4, 8, 12, 16, 20),
    result=0,
    instruction_pointer=60,
    stack_pointer=52,
    number_write=_NUMBER,
    number_request=PTRACE_SET_SYSCALL,
    short_state=ShortState(offset=64, bit=0x20, length=2),
)

_ARM64_LAYOUT = RegisterLayout(
    size=272,
    word=8,
    number=64,
    arguments=(0, 8, 16, 24, 32, 40),
    result=0,
    instruction_pointer=256,
    stack_pointer=248,
    number_write=_NUMBER,
)

ARM = Abi(
    name="arm",
    audit_arch=0x4000_0028,
    bits=32,
    pointer_size=4,
    layouts=(_ARM_LAYOUT,),
    syscall_instruction=bytes.fromhex("000000ef"),
    pairs_aligned=True,
    e_machine=40,
    spare_address=0x6000_0000,  # programs may begin at 0x10000 and end anywhere
)

ARM64 = Abi(
    name="arm64",
    audit_arch=0xC000_00B7,
    bits=64,
    tag_bits=0xFF00_0000_0000_0000,
    pointer_size=8,
    layouts=(_ARM64_LAYOUT,),
    syscall_instruction=bytes.fromhex("010000d4"),
    e_machine=183,
)

ARM_ARCH = Arch(
    name="arm",
    machines=frozenset({"armv6l", "armv7l", "armv8l"}),
    abis=(ARM,),
    debian="armhf",
    aliases=frozenset({"arm32", "armel"}),
)

ARM64_ARCH = Arch(
    name="arm64",
    machines=frozenset({"aarch64"}),
    abis=(ARM64, ARM),
    debian="arm64",
)

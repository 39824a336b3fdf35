"""ppc64le. Source: arch/powerpc/include/uapi/asm/ptrace.h, arch/powerpc/kernel/ptrace/."""

from __future__ import annotations

from enforcer.arch.record import Abi, Arch, ErrorFlag, RegisterLayout

PPC64LE = Abi(
    name="ppc64le",
    audit_arch=0xC000_0015,
    bits=64,
    multiplexers=frozenset({"socketcall", "ipc"}),
    pointer_size=8,
    layouts=(
        RegisterLayout(
            size=384,
            word=8,
            number=0,
            arguments=(24, 32, 40, 48, 56, 64),
            result=24,
            instruction_pointer=256,
            stack_pointer=8,
            saved_argument=272,
            # A call made by `sc`; one made by `scv 0` returns a negative errno instead.
            error_flag=ErrorFlag(offset=304, bit=0x1000_0000),
        ),
    ),
    syscall_instruction=bytes.fromhex("02000044"),
    instruction_lengths=frozenset({4}),
    e_machine=21,
)

PPC64LE_ARCH = Arch(
    name="ppc64le",
    machines=frozenset({"ppc64le"}),
    abis=(PPC64LE,),
    debian="ppc64el",
    instruction_length={"ppc64le": 4},
    aliases=frozenset({"powerpc64le"}),
)

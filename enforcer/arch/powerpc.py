"""ppc64le. Source: arch/powerpc/include/uapi/asm/ptrace.h, arch/powerpc/kernel/ptrace/."""

from __future__ import annotations

from enforcer.arch.record import Abi, Arch, ErrorFlag, IoctlDirections, RegisterLayout

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
            # `sc` marks errors, `scv 0` (a trap of its own) returns a negative errno.
            error_flag=ErrorFlag(offset=304, bit=0x1000_0000, kind=320, negative_kind=0x3000),
        ),
    ),
    syscall_instruction=bytes.fromhex("02000044"),
    e_machine=21,
)

PPC64LE_ARCH = Arch(
    name="ppc64le",
    machines=frozenset({"ppc64le"}),
    abis=(PPC64LE,),
    debian="ppc64el",
    aliases=frozenset({"powerpc64le"}),
    ioctl_directions=IoctlDirections(shift=29, none=1, write=4),
)

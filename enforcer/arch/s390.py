"""s390x, 64-bit and big-endian. Sources: arch/s390/include/uapi/asm/ptrace.h, kernel/ptrace.c."""

from __future__ import annotations

from enforcer.arch.record import Abi, Arch, RegisterLayout

_GENERAL = 16
_ORIG_GPR2 = 208

S390X = Abi(
    name="s390x",
    audit_arch=0x8000_0016,
    bits=64,
    big_endian=True,
    multiplexers=frozenset({"socketcall", "ipc"}),
    pointer_size=8,
    layouts=(
        RegisterLayout(
            size=216,
            word=8,
            # At the stop the kernel shows the number in gpr 2 and takes a new one from there (not
            # from NT_S390_SYSTEM_CALL, which serves restarts); argument 0 is in orig_gpr2.
            number=_GENERAL + 8 * 2,
            arguments=(
                _ORIG_GPR2,
                _GENERAL + 8 * 3,
                _GENERAL + 8 * 4,
                _GENERAL + 8 * 5,
                _GENERAL + 8 * 6,
                _GENERAL + 8 * 7,
            ),
            result=_GENERAL + 8 * 2,
            instruction_pointer=8,
            stack_pointer=_GENERAL + 8 * 15,
        ),
    ),
    syscall_instruction=bytes.fromhex("0a00"),
    number_in_instruction=True,
    e_machine=22,
)

S390X_ARCH = Arch(
    name="s390x",
    machines=frozenset({"s390x"}),
    abis=(S390X,),
    debian="s390x",
)

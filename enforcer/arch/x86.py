"""x86: the 64-bit kernel with its three calling conventions, and the 32-bit kernel.

Sources: arch/x86/include/asm/user_64.h, user32.h, arch/x86/kernel/ptrace.c.
"""

from __future__ import annotations

from enforcer.arch.record import Abi, Arch, RegisterLayout


def _offsets(registers: str, word: int) -> dict[str, int]:
    return {register: word * place for place, register in enumerate(registers.split())}


_WIDE = _offsets(
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
    "fs_base gs_base ds es fs gs",
    word=8,
)
_NARROW = _offsets("ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss", word=4)

_WIDE_LAYOUT = RegisterLayout(
    size=8 * len(_WIDE),
    word=8,
    number=_WIDE["orig_rax"],
    arguments=(
        _WIDE["rdi"],
        _WIDE["rsi"],
        _WIDE["rdx"],
        _WIDE["r10"],
        _WIDE["r8"],
        _WIDE["r9"],
    ),
    result=_WIDE["rax"],
    instruction_pointer=_WIDE["rip"],
    stack_pointer=_WIDE["rsp"],
)

_NARROW_LAYOUT = RegisterLayout(
    size=4 * len(_NARROW),
    word=4,
    number=_NARROW["orig_eax"],
    arguments=(
        _NARROW["ebx"],
        _NARROW["ecx"],
        _NARROW["edx"],
        _NARROW["esi"],
        _NARROW["edi"],
        _NARROW["ebp"],
    ),
    result=_NARROW["eax"],
    instruction_pointer=_NARROW["eip"],
    stack_pointer=_NARROW["esp"],
)

_NARROW_IN_WIDE = RegisterLayout(
    size=8 * len(_WIDE),
    word=8,
    number=_WIDE["orig_rax"],
    arguments=(
        _WIDE["rbx"],
        _WIDE["rcx"],
        _WIDE["rdx"],
        _WIDE["rsi"],
        _WIDE["rdi"],
        _WIDE["rbp"],
    ),
    result=_WIDE["rax"],
    instruction_pointer=_WIDE["rip"],
    stack_pointer=_WIDE["rsp"],
)
"""A 64-bit task that makes an i386 call by `int 0x80`."""

X86_64 = Abi(
    name="x86_64",
    audit_arch=0xC000_003E,
    bits=64,
    pointer_size=8,
    layouts=(_WIDE_LAYOUT,),
    syscall_instruction=bytes.fromhex("0f05"),
    e_machine=62,
    tag_bits=0x7E00_0000_0000_0000,  # LAM_U57
)

I386 = Abi(
    name="i386",
    audit_arch=0x4000_0003,
    bits=32,
    multiplexers=frozenset({"socketcall", "ipc"}),
    pointer_size=4,
    layouts=(_NARROW_LAYOUT, _NARROW_IN_WIDE),
    syscall_instruction=bytes.fromhex("cd80"),
    e_machine=3,
)

X32 = Abi(
    name="x32",
    audit_arch=0xC000_003E,
    bits=64,
    nr_bit=0x4000_0000,
    pointer_size=4,
    layouts=(_WIDE_LAYOUT,),
    syscall_instruction=bytes.fromhex("0f05"),
    e_machine=62,
)

X86_64_ARCH = Arch(
    name="x86_64",
    machines=frozenset({"x86_64"}),
    abis=(X86_64, I386, X32),
    debian="amd64",
    aliases=frozenset({"x86-64", "x64"}),
)

I386_ARCH = Arch(
    name="i386",
    machines=frozenset({"i386", "i486", "i586", "i686"}),
    abis=(I386,),
    debian="i386",
    aliases=frozenset({"x86", "ia32"}),
)

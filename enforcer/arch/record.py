"""The records that hold every fact about an architecture and its calling conventions.

Register facts are those of the kernel's ptrace regsets (PTRACE_GETREGSET, note NT_PRSTATUS),
as a tracer of the architecture's native 64-bit (or only) word size sees them.
"""

from __future__ import annotations

from dataclasses import dataclass

NT_PRSTATUS = 1


@dataclass(frozen=True, kw_only=True)
class NumberRegset:
    """A regset that holds nothing but the number of the current call."""

    note: int
    size: int


@dataclass(frozen=True, kw_only=True)
class ErrorFlag:
    """How a failed call is marked when not by a negative return value (powerpc's summary overflow).

    With the bit at `offset` set, the return register holds the positive errno. Calls for which the
    register at `kind` holds `negative_kind` return it negative all the same.
    """

    offset: int
    bit: int
    kind: int
    negative_kind: int


@dataclass(frozen=True, kw_only=True)
class ShortState:
    """The bit in the register at `offset` that says that code is of the shorter instruction set.

    There the instruction that makes a call has `length` bytes (arm's Thumb).
    """

    offset: int
    bit: int
    length: int


@dataclass(frozen=True, kw_only=True)
class RegisterLayout:
    """Where the registers of one calling convention lie in one NT_PRSTATUS regset, in bytes.

    The kernel picks the regset by the mode that the task runs in, not by the call that it makes: a
    64-bit x86 task in `int 0x80` shows the 64-bit regset with the i386 arguments in it. `size`
    therefore tells which layout of an Abi applies. Every field is `word` bytes wide.

    `number` is where the number is read at a syscall-entry or seccomp stop; `number_write` says by
    which way a new number takes effect where that is not the same place: a NumberRegset, or an
    offset. `number_request` is a ptrace request of the architecture's own kernel that does the
    same where that kernel lacks the regset (arm's PTRACE_SET_SYSCALL; the number is its data).
    (Linux 6.16 has PTRACE_SET_SYSCALL_INFO for all of it.) `frozen_arguments` cannot be changed
    through the regset at all before that. `number_is_kept`: programs expect the register with the
    number unchanged after their call.
    """

    size: int
    word: int
    number: int
    arguments: tuple[int, int, int, int, int, int]
    result: int
    instruction_pointer: int
    stack_pointer: int
    number_write: NumberRegset | int | None = None
    number_request: int | None = None
    frozen_arguments: frozenset[int] = frozenset()
    number_is_kept: bool = False
    error_flag: ErrorFlag | None = None
    short_state: ShortState | None = None

    @property
    def result_waits(self) -> bool:
        """Whether a tracer can give a result at the call's exit only.

        Before that its register still is the number's, or the number has to come back into its own.
        """
        return self.number_is_kept or self.number == self.result

    @property
    def first_argument(self) -> int:
        """Where programs put argument 0, which a kernel may show elsewhere during the call."""
        return self.result if self.number == self.result else self.arguments[0]


@dataclass(frozen=True, kw_only=True)
class Abi:
    """One calling convention of the kernel.

    `audit_arch` is AUDIT_ARCH_* as seccomp_data.arch and PTRACE_GET_SYSCALL_INFO report it.
    `bits` is the width of a register argument, `pointer_size` that of a pointer in memory, bytes.
    `nr_bit` is set in every number (x32: 0x40000000); the tables hold numbers with it.
    `multiplexers` are the calls that stand for others (socketcall, ipc). `layouts` are the regsets
    that a task making such a call may show, the usual one first. `syscall_instruction` is the code
    that makes a call, as it lies in memory; `number_in_instruction`: it may hold the number too, so
    that a task sent back to it makes the same call whatever its registers say.
    `pairs_aligned`: a 64-bit argument split over two registers starts at an even one.
    `e_machine` is the ELF machine of its programs. `spare_address` is one below 4 GiB where neither
    they nor what loads them maps anything: not in the first 64 MiB (valgrind's PIE programs are at
    0x108000, others at 0x400000 or 0x8048000, their heaps behind), not at 0x38000000 or 0x58000000
    (valgrind itself), nor in what Wine's preloader reserves (up to 0x68000000, and from 0x7f000000
    on). `tag_bits` of an address are ignored by calls that change mappings (untagged_addr).
    """

    name: str
    audit_arch: int
    bits: int
    big_endian: bool = False
    nr_bit: int = 0
    multiplexers: frozenset[str] = frozenset()
    pointer_size: int
    layouts: tuple[RegisterLayout, ...]
    syscall_instruction: bytes
    number_in_instruction: bool = False
    pairs_aligned: bool = False
    e_machine: int
    spare_address: int = 0x7000_0000
    tag_bits: int = 0

    def layout(self, size: int) -> RegisterLayout:
        """The layout whose regset has `size` bytes; LookupError if this ABI has no such regset."""
        for layout in self.layouts:
            if layout.size == size:
                return layout
        raise LookupError(f"{self.name}: no register set of {size} bytes")


@dataclass(frozen=True, kw_only=True)
class IoctlDirections:
    """Which way an ioctl command's argument goes: the bits, from `shift` up (asm/ioctl.h)."""

    shift: int = 30
    none: int = 0
    write: int = 1
    read: int = 2


@dataclass(frozen=True, kw_only=True)
class Arch:
    """One machine architecture: `name` as `harness --arch` spells it, `machines` as uname does.

    `abis` are those that a kernel of this architecture can serve, the native one first. `debian`
    is the name of Debian's port, `aliases` further names that users write.
    """

    name: str
    machines: frozenset[str]
    abis: tuple[Abi, ...]
    debian: str
    aliases: frozenset[str] = frozenset()
    ioctl_directions: IoctlDirections = IoctlDirections()

    @property
    def native(self) -> Abi:
        return self.abis[0]

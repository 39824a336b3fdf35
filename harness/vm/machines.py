"""The machine table: the only place with facts about an architecture's virtual machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class MachineError(Exception):
    """No such machine or kernel; the text says which exist."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How QEMU plays one architecture, and what Debian has for it.

    `machines` are uname's names of hosts whose processors can run it without emulation.
    `kernel_package` is Debian's name of the newest kernel of a suite, `kernels` maps a version as
    `--kernel` names it to that suite. `bus` is the suffix of virtio device names. `uncompressed`
    says that a kernel taken out of its bzImage boots faster. `parks_cpus`: only the first CPU is
    online while a machine is saved, because QEMU loses the timers of the others. `boots_from_rom`:
    QEMU starts a kernel through a ROM of its own, which a restored copy must have too; elsewhere
    the kernel only lies in the saved memory, and reading it again would be for nothing.

    `not_implemented` is the code of a function that returns -ENOSYS, `landing` what such a function
    may begin with and keeps (endbr64, bti c). `entry_prefixes` are what stands before a call's name
    in the symbol of its entry, for each of its ABIs. `entry_anchor` is the symbol at the start of
    "Kernel code" in /proc/iomem; `linear_shift`: from a symbol's address to the physical one where
    the kernel has no such symbol, or no such line.
    """

    arch: str
    machines: frozenset[str]
    debian: str
    qemu: str
    qemu_package: str
    machine: str
    cpu: str
    console: str
    kernel_package: str
    kernels: Mapping[str, str]
    default_kernel: str
    bus: str = "pci"
    uncompressed: bool = False
    abis: tuple[str, ...] = ()
    append: str = ""
    parks_cpus: bool = False
    boots_from_rom: bool = True
    not_implemented: bytes = b""
    landing: bytes = b""
    entry_prefixes: tuple[str, ...] = ()
    entry_anchor: str = "_text"
    linear_shift: int | None = None


# An emulated timer that has to wait for a processor fails the kernel's test of it, which panics.
_NO_TIMER_CHECK = "no_timer_check"

_ALL = {"6.1": "bookworm", "6.12": "trixie", "7.2": "sid"}

MACHINES: Mapping[str, Machine] = {
    machine.arch: machine
    for machine in (
        Machine(
            arch="x86_64",
            machines=frozenset({"x86_64"}),
            debian="amd64",
            qemu="qemu-system-x86_64",
            qemu_package="qemu-system-x86",
            machine="q35",
            # The kernel copies by `rep movsb` then, which QEMU carries out byte by byte.
            cpu="max,erms=off",
            console="ttyS0",
            kernel_package="linux-image-amd64",
            kernels=_ALL,
            default_kernel="6.1",
            uncompressed=True,
            abis=("x86_64", "i386", "x32"),
            append=f"syscall.x32=y {_NO_TIMER_CHECK}",
            not_implemented=bytes.fromhex("48c7c0daffffffc3"),  # mov $-38, %rax; ret
            landing=bytes.fromhex("f30f1efa"),
            entry_prefixes=(
                "__x64_sys_",
                "__ia32_sys_",
                "__ia32_compat_sys_",
                "__x64_compat_sys_",
            ),
        ),
        Machine(
            arch="i386",
            machines=frozenset({"i686", "x86_64"}),
            debian="i386",
            qemu="qemu-system-i386",
            qemu_package="qemu-system-x86",
            machine="q35",
            cpu="max",
            console="ttyS0",
            kernel_package="linux-image-686-pae",
            kernels={"6.1": "bookworm"},
            default_kernel="6.1",
            abis=("i386",),
            append=_NO_TIMER_CHECK,
            not_implemented=bytes.fromhex("b8daffffffc3"),  # mov $-38, %eax; ret
            entry_prefixes=("__ia32_sys_",),
        ),
        Machine(
            arch="arm",
            machines=frozenset({"armv7l"}),
            debian="armhf",
            qemu="qemu-system-arm",
            qemu_package="qemu-system-arm",
            machine="virt,highmem=off",
            cpu="cortex-a15",
            console="ttyAMA0",
            kernel_package="linux-image-armmp",
            kernels=_ALL,
            default_kernel="6.1",
            abis=("arm",),
            boots_from_rom=False,
            not_implemented=bytes.fromhex("2500e0e31eff2fe1"),  # mvn r0, #37; bx lr
            entry_prefixes=("sys_",),
            linear_shift=0x4000_0000 - 0xC000_0000,  # RAM begins there, and PAGE_OFFSET
        ),
        Machine(
            arch="arm64",
            machines=frozenset({"aarch64"}),
            debian="arm64",
            qemu="qemu-system-aarch64",
            qemu_package="qemu-system-arm",
            machine="virt",
            cpu="cortex-a57",
            console="ttyAMA0",
            kernel_package="linux-image-cloud-arm64",
            kernels=_ALL,
            default_kernel="6.1",
            abis=("arm64", "arm"),
            boots_from_rom=False,
            not_implemented=bytes.fromhex("a0048092c0035fd6"),  # mov x0, #-38; ret
            landing=bytes.fromhex("5f2403d5"),
            entry_prefixes=("__arm64_sys_", "__arm64_compat_sys_"),
            entry_anchor="_stext",
        ),
        Machine(
            arch="riscv64",
            machines=frozenset({"riscv64"}),
            debian="riscv64",
            qemu="qemu-system-riscv64",
            qemu_package="qemu-system-misc",
            machine="virt",
            cpu="rv64",
            console="ttyS0",
            kernel_package="linux-image-riscv64",
            kernels={"6.12": "trixie", "7.2": "sid"},
            default_kernel="7.2",
            abis=("riscv64",),
            parks_cpus=True,
            boots_from_rom=False,
            not_implemented=bytes.fromhex("1305a0fd67800000"),  # li a0, -38; ret
            entry_prefixes=("__riscv_sys_", "__riscv_compat_sys_"),
        ),
        Machine(
            arch="s390x",
            machines=frozenset({"s390x"}),
            debian="s390x",
            qemu="qemu-system-s390x",
            qemu_package="qemu-system-misc",
            machine="s390-ccw-virtio",
            cpu="max",
            console="ttysclp0",
            kernel_package="linux-image-s390x",
            kernels=_ALL,
            default_kernel="6.1",
            bus="ccw",
            abis=("s390x",),
            not_implemented=bytes.fromhex("a729ffda07fe"),  # lghi %r2, -38; br %r14
            entry_prefixes=("__s390x_sys_", "__s390_compat_sys_"),
        ),
        Machine(
            arch="ppc64le",
            machines=frozenset({"ppc64le"}),
            debian="ppc64el",
            qemu="qemu-system-ppc64",
            qemu_package="qemu-system-ppc",
            machine="pseries",
            cpu="power9",
            console="hvc0",
            kernel_package="linux-image-powerpc64le",
            kernels=_ALL,
            default_kernel="6.1",
            abis=("ppc64le",),
            parks_cpus=True,
            not_implemented=bytes.fromhex("daff60382000804e"),  # li r3, -38; blr
            entry_prefixes=("sys_", "compat_sys_"),
            linear_shift=-0xC000_0000_0000_0000,  # PAGE_OFFSET, where RAM begins
        ),
    )
}

# (architecture, kernel, QEMU's major version) -> why the pair must not be used.
KNOWN_BAD: Mapping[tuple[str, str, int], str] = {
    ("x86_64", "6.12", 7): "QEMU 7.2's emulation crashes this kernel in one boot of six; "
    "QEMU 10 (bookworm-backports) does not",
}


def machine(arch: str) -> Machine:
    """The record of `arch` (a name of `enforcer.arch.ARCHES`)."""
    if arch not in MACHINES:
        raise MachineError(f"no machine for {arch!r}; there are {', '.join(MACHINES)}")
    return MACHINES[arch]

"""Every supported architecture and calling convention, one record each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from enforcer.arch.arm import ARM64_ARCH, ARM_ARCH
from enforcer.arch.powerpc import PPC64LE_ARCH
from enforcer.arch.record import Abi, Arch
from enforcer.arch.riscv import RISCV64_ARCH
from enforcer.arch.s390 import S390X_ARCH
from enforcer.arch.x86 import I386_ARCH, X86_64_ARCH

__all__ = ["ABIS", "ARCHES", "Abi", "Arch", "arch", "by_audit_arch", "native"]

_RECORDS = (
    X86_64_ARCH,
    I386_ARCH,
    ARM_ARCH,
    ARM64_ARCH,
    RISCV64_ARCH,
    S390X_ARCH,
    PPC64LE_ARCH,
)

ARCHES: Mapping[str, Arch] = MappingProxyType({record.name: record for record in _RECORDS})
"""Architectures by our name."""

ABIS: Mapping[str, Abi] = MappingProxyType(
    {abi.name: abi for record in _RECORDS for abi in record.abis}
)
"""Calling conventions by name."""

_BY_ANY_NAME: Mapping[str, Arch] = {
    name: record
    for record in _RECORDS
    for name in (record.name, record.debian, *record.machines, *record.aliases)
}


def arch(name: str) -> Arch:
    """The architecture that `name` means: ours, Debian's or uname's; KeyError lists ours."""
    try:
        return _BY_ANY_NAME[name.lower()]
    except KeyError:
        raise KeyError(f"unknown architecture {name!r}: choose from {', '.join(ARCHES)}") from None


def native() -> Arch:
    """The architecture of the running kernel; KeyError if it is none of ours."""
    return arch(os.uname().machine)


def by_audit_arch(value: int) -> tuple[Abi, ...]:
    """The ABIs that report this AUDIT_ARCH; x86_64 and x32 share one and differ in `nr_bit`."""
    return tuple(abi for abi in ABIS.values() if abi.audit_arch == value)

"""Names of the kernel's constants, as far as an argument's kind tells which family is meant."""

from __future__ import annotations

from collections.abc import Mapping

from enforcer.syscalls.constants import constants
from enforcer.syscalls.model import Argument, Kind

_PREFIXES: Mapping[Kind, tuple[str, ...]] = {
    Kind.OFLAGS: ("O_",),
    Kind.PROT: ("PROT_",),
    Kind.SOCKDOM: ("AF_",),
    Kind.SOCKTYPE: ("SOCK_",),
    Kind.SIGNAL: ("SIG",),
}

_PREFIXES_OF_CALL: Mapping[str, tuple[str, ...]] = {
    "ioctl": ("TIOC", "TC", "FIO", "FS_IOC", "SIOC"),
    "fcntl": ("F_",),
    "fcntl64": ("F_",),
    "prctl": ("PR_",),
    "clone": ("CLONE_",),
    "unshare": ("CLONE_",),
    "setns": ("CLONE_",),
    "mmap": ("MAP_",),
    "mmap2": ("MAP_",),
    "seccomp": ("SECCOMP_",),
}

_NAMED_KINDS = frozenset({Kind.FLAGS, Kind.COMMAND, *_PREFIXES})


def constant_name(abi: str, call: str, argument: Argument, value: int) -> str:
    """The name of `value` as that argument of that call on `abi`, empty where none fits."""
    prefixes = _PREFIXES.get(argument.kind) or _PREFIXES_OF_CALL.get(call, ())
    if not prefixes or argument.kind not in _NAMED_KINDS or value == 0:
        return ""
    for word, known in constants(abi).items():
        if known == value and word.startswith(prefixes):
            return word
    return ""

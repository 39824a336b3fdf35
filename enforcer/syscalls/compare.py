"""Compares model.txt with the SYSCALL_DEFINE lines of a kernel's source.

`python -m enforcer.syscalls.compare LINUX` prints every call whose number, kind (pointer or
number) or width of arguments differs, and every definition that the model lacks. For a new kernel;
what it prints for Linux 7.2 is meant so, and said in EXPECTED.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from enforcer.syscalls.loader import syscall
from enforcer.syscalls.model import Argument, Kind
from enforcer.syscalls.numbers import names

EXPECTED: Mapping[str, str] = {
    "clone": "flags are an unsigned long of which the low half counts",
    "mmap": "prot and flags: unknown bits are ignored, so that the low half decides",
    "mmap2": "as mmap",
    "ptrace": "pid is a long that becomes a pid_t",
    "umask": "an int of which the permission bits count",
    "umount": "the definition is umount2's; umount is oldumount",
}

DIRECTORIES = (
    "kernel fs mm net ipc security io_uring block drivers/char drivers/pci arch/x86/kernel "
    "arch/riscv/kernel arch/s390 arch/powerpc"
)

_DEFINITION = re.compile(r"^SYSCALL_DEFINE(\d)\(\s*(\w+)\s*,?([^)]*)\)", re.MULTILINE)
_WIDTHS: Mapping[str, int] = {
    **dict.fromkeys(("int", "unsigned int", "unsigned", "uint", "u32", "__u32", "__s32"), 32),
    **dict.fromkeys(("uid_t", "gid_t", "pid_t", "qid_t", "key_t", "key_serial_t"), 32),
    **dict.fromkeys(("clockid_t", "timer_t", "mqd_t", "rwf_t", "enum landlock_rule_type"), 32),
    "umode_t": 16,
}
_POINTER_TYPES = frozenset({"cap_user_header_t", "cap_user_data_t"})
_IN_MEMORY = frozenset(
    {Kind.POINTER, Kind.PATH, Kind.STRING, Kind.SOCKADDR, Kind.ARGV, Kind.STRUCT}
)


def parse_definitions(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(call, types of its arguments) for every SYSCALL_DEFINE in a C file."""
    for definition in _DEFINITION.finditer(text):
        count, name, rest = definition.groups()
        words = [" ".join(word.split()) for word in rest.split(",")]
        yield name, tuple(words[: 2 * int(count) : 2])


def difference(arguments: Sequence[Argument], types: Sequence[str]) -> str:
    """How the model differs from one definition; empty if it does not."""
    if len(arguments) != len(types):
        return f"{len(arguments)} arguments, not {len(types)}"
    return ", ".join(
        f"{argument.name} is {argument.kind} of {argument.width} bits, not {declared}"
        for argument, declared in zip(arguments, types, strict=True)
        if not _fits(argument, declared)
    )


def _fits(argument: Argument, declared: str) -> bool:
    declared = declared.removeprefix("const ")
    is_pointer = "*" in declared or declared in _POINTER_TYPES
    if is_pointer or argument.kind in _IN_MEMORY:
        return is_pointer == (argument.kind in _IN_MEMORY)
    if argument.kind is Kind.FD:
        return True
    return argument.width == _WIDTHS.get(declared, 64)


def compare(texts: Iterable[str]) -> Iterator[str]:
    """One line for each call that no definition of its name fits."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for text in texts:
        for name, types in parse_definitions(text):
            found.setdefault(name, []).append(types)
    for name in sorted(found.keys() & names()):
        differences = [difference(syscall(name).arguments, types) for types in found[name]]
        if all(differences) and name not in EXPECTED:
            yield f"{name}: {differences[0]}"


def _sources(linux: Path) -> Iterator[str]:
    for directory in DIRECTORIES.split():
        for path in sorted((linux / directory).rglob("*.c")):
            yield path.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    for line in compare(_sources(Path(sys.argv[1]))):
        print(line)

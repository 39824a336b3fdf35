"""Makes numbers.tsv from the kernel's own uapi headers.

Run once for a new kernel: `python -m enforcer.syscalls.generate UAPI` where UAPI is the directory
with `x86/asm/unistd_64.h` and so on: `usr/lib/linux/uapi` of Debian's linux-libc-dev package
(the newest is in sid), unpacked with `dpkg-deb -x`, not installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

HEADERS: Mapping[str, tuple[str, ...]] = {
    "x86_64": ("x86/asm/unistd_64.h",),
    "i386": ("x86/asm/unistd_32.h",),
    "x32": ("x86/asm/unistd_x32.h",),
    "arm": ("arm/asm/unistd-eabi.h", "arm/asm/unistd.h"),
    "arm64": ("arm64/asm/unistd_64.h",),
    "riscv64": ("riscv/asm/unistd_64.h",),
    "s390x": ("s390/asm/unistd_64.h",),
    "ppc64le": ("powerpc/asm/unistd_64.h",),
}

BASES: Mapping[str, int] = {
    "__NR_SYSCALL_BASE": 0,
    "__X32_SYSCALL_BIT": 0x4000_0000,
    "__ARM_NR_BASE": 0x0F_0000,
}
"""Symbols that a number is relative to; the EABI value where an architecture has two."""

DEFINITION = re.compile(
    r"^#define\s+__(?:NR|ARM_NR)_(?P<name>[a-z0-9_]+)\s+"
    r"(?:\(\s*(?P<base>\w+)\s*\+\s*(?P<offset>\d+)\s*\)|(?P<plain>\d+))\s*$"
)


def parse_header(text: str) -> dict[str, int]:
    """The numbers that one header defines; raises ValueError for a base that is not in BASES."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        definition = DEFINITION.match(line)
        if definition is None:
            continue
        if definition["plain"] is not None:
            found[definition["name"]] = int(definition["plain"])
        elif definition["base"] in BASES:
            found[definition["name"]] = BASES[definition["base"]] + int(definition["offset"])
        else:
            raise ValueError(f"unknown base in: {line}")
    return found


def render(tables: Mapping[str, Mapping[str, int]]) -> str:
    """The tables as tab-separated text: one call a line, one ABI a column, `-` where absent."""
    lines = ["\t".join(("name", *tables))]
    for name in sorted({name for table in tables.values() for name in table}):
        cells = (_cell(table.get(name)) for table in tables.values())
        lines.append("\t".join((name, *cells)))
    return "\n".join(lines) + "\n"


def _cell(number: int | None) -> str:
    if number is None:
        return "-"
    return f"{number:#x}" if number > 0xFFFF else str(number)


def generate(uapi: Path) -> str:
    """numbers.tsv for the headers under `uapi`."""
    tables: dict[str, dict[str, int]] = {}
    for abi, headers in HEADERS.items():
        table: dict[str, int] = {}
        for header in headers:
            table.update(parse_header((uapi / header).read_text(encoding="ascii")))
        tables[abi] = table
    return render(tables)


if __name__ == "__main__":
    Path(__file__).with_name("numbers.tsv").write_text(generate(Path(sys.argv[1])), "ascii")

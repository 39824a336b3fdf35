"""i386 calls of a 64-bit program, whose registers have more bits than the kernel takes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from enforcer.arch import native
from tests.mechanisms.sandbox import run

POLICY = """\
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename sub "secret"
  - permit: [fsread, fswrite]
    when: filename match "/*"
"""

SCRIPT = """\
import ctypes, mmap, os, sys
sys.path.insert(0, sys.argv[1])
from tests.mechanisms.int80 import Int80
MAP_32BIT, OPENAT, JUNK = 0x40, 295, 0xABCD_0000_0000
low = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT)
address = ctypes.addressof(ctypes.c_char.from_buffer(low))
call = Int80()
for name in (b"file", b"secret"):
    low[: len(name) + 1] = name + b"\\0"
    for junk in (0, JUNK):
        print(call.errno(OPENAT, (0xFFFF_FF9C | junk, address | junk, junk, junk, 0, 0)))
"""


@pytest.mark.skipif(native().name != "x86_64", reason="int 0x80 in 64-bit code is x86-64's")
@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_upper_halves_count_for_nothing(mechanism: str, tmp_path: Path) -> None:
    """What is judged, and done, is what the kernel takes from the registers: their lower halves."""
    for name in ("file", "secret"):
        (tmp_path / name).write_text("x")
    tree = Path(__file__).parents[2]
    ran = run(mechanism, POLICY, [sys.executable, "-c", SCRIPT, tree], tmp_path)
    assert ran.stdout.split() == ["0", "0", "13", "13"], ran.stderr

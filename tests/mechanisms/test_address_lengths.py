"""Odd lengths of addresses under rules that speak of names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness import process
from tests.mechanisms.sandbox import run

LENGTHS = """
import ctypes, errno, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
inet = struct.pack("=H", 2) + struct.pack(">H", 9) + socket.inet_aton("127.0.0.1")
path = struct.pack("=H", 1) + b"/proc/none/x"
for family, raw in ((socket.AF_INET, inet), (socket.AF_UNIX, path)):
    for tagged in (raw, struct.pack("=H", 999) + raw[2:]):
        for length in (-1, 0, 1, 2, 3, 15, 16, 110, 111, 128, 129, 4096, 1 << 30):
            for call in (libc.bind, libc.connect, libc.sendto):
                own = socket.socket(family, socket.SOCK_DGRAM)
                buffer = ctypes.create_string_buffer(tagged, 8192)
                first = (own.fileno(), b"x", 1, 0) if call is libc.sendto else (own.fileno(),)
                result = call(*first, buffer, length)
                said = "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]
                print(call.__name__, family.name, tagged[:2], length, said)
                own.close()
"""

POLICY = """\
default: permit
rules:
  - deny[exdev]: {calls}
    when: {what} eq "/no such file"
"""


@pytest.mark.parametrize(
    ("calls", "what"), [("fswrite", "filename"), ("[bind, connect, sendto]", "sockaddr")]
)
@pytest.mark.parametrize("backend", ["ptrace", "notify"])
def test_lengths_fail_as_they_do_bare(backend: str, calls: str, what: str, tmp_path: Path) -> None:
    """bind, connect and sendto say to every length and family what the kernel says."""
    command = [sys.executable, "-c", LENGTHS]
    bare = process.run(command, timeout_s=60.0, cwd=tmp_path)
    assert bare.stdout.count("EINVAL") > 50
    ran = run(backend, POLICY.format(calls=calls, what=what), command, tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == bare.stdout.splitlines()

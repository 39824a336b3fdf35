"""A program that makes itself not dumpable shuts out a supervisor that may not look into it."""

from __future__ import annotations

import shutil
import sys
from errno import EACCES, EFAULT
from pathlib import Path

import pytest

from harness import process

POLICY = """
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "/*"
"""

_HIDES = """
import ctypes, os
directory = os.open("/etc", os.O_RDONLY)
assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0
answers = []
for act in (lambda: os.open("/etc/passwd", os.O_RDONLY), lambda: os.stat("/etc/passwd"),
            lambda: os.open("passwd", os.O_RDONLY, dir_fd=directory)):
    try:
        act()
        answers.append(0)
    except OSError as error:
        answers.append(error.errno)
print(*answers, flush=True)
os._exit(0)
"""

_CHILD_HIDES = """
import ctypes, os
libc = ctypes.CDLL(None)
expected = os.stat("/etc/group").st_ino
name = ctypes.create_string_buffer(b"/etc/passwd")
os.close(libc.open(name, 0))
if os.fork() == 0:
    os.close(libc.open(name, 0))
    name.value = b"/etc/group"
    assert libc.prctl(4, 0, 0, 0, 0) == 0
    print(os.fstat(libc.open(name, 0)).st_ino == expected, flush=True)
    os._exit(0)
os.wait()
os._exit(0)
"""

_WITHOUT = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv(1)")
@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_a_name_in_hidden_memory_is_no_name(mechanism: str, tmp_path: Path) -> None:
    """EFAULT, as nobody could judge it (docs/limits.md); with CAP_SYS_PTRACE it is opened.

    A tracer that looked into it before still may: access is asked for at the open of its memory. It
    cannot write a result there, nor see its directories.
    """
    found = [_printed(mechanism, _HIDES, tmp_path, prefix) for prefix in ([], _WITHOUT)]
    hidden = {"ptrace": (0, EFAULT, EACCES), "notify": (EFAULT, EFAULT, EFAULT)}[mechanism]
    assert [tuple(map(int, each.split())) for each in found] == [(0, 0, 0), hidden]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv(1)")
def test_a_hidden_name_is_read_in_the_memory_of_its_own_task(tmp_path: Path) -> None:
    """The memory of a parent and that of its child are kept apart, though both were open."""
    assert _printed("ptrace", _CHILD_HIDES, tmp_path, _WITHOUT) == "True\n"


def _printed(mechanism: str, program: str, place: Path, prefix: list[str]) -> str:
    if process.run([*_WITHOUT, "true"]).status:
        pytest.skip("capabilities cannot be dropped here (setpriv)")
    policy = place / "policy.yaml"
    policy.write_text(POLICY)
    words = [sys.executable, "-m", "enforcer", "run", "-b", mechanism, "-p", str(policy), "--"]
    return process.run([*prefix, *words, sys.executable, "-I", "-S", "-c", program]).stdout

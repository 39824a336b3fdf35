"""A program that makes itself not dumpable shuts out a supervisor that may not look into it."""

from __future__ import annotations

import shutil
import sys
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
assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0
try:
    os.close(os.open("/etc/passwd", os.O_RDONLY))
    print("opened", flush=True)
except OSError as error:
    print(error.errno, flush=True)
os._exit(0)
"""

_WITHOUT = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv(1)")
@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_a_name_in_hidden_memory_is_no_name(mechanism: str, tmp_path: Path) -> None:
    """EFAULT, as nobody could judge it (docs/limits.md); with CAP_SYS_PTRACE it is opened.

    A tracer that looked into it before still may: access is asked for at the open of its memory.
    """
    (tmp_path / "policy.yaml").write_text(POLICY)
    words = [sys.executable, "-m", "enforcer", "run", "-b", mechanism]
    words += ["-p", str(tmp_path / "policy.yaml"), "--", sys.executable, "-I", "-S", "-c", _HIDES]
    if process.run([*_WITHOUT, "true"]).status:
        pytest.skip("capabilities cannot be dropped here (setpriv)")
    found = [process.run([*prefix, *words]).stdout for prefix in ([], _WITHOUT)]
    assert found == ["opened\n", {"ptrace": "opened\n", "notify": "14\n"}[mechanism]]

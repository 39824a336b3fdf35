"""The page from which held calls take their arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mechanisms.sandbox import program, run

POLICY = """\
default: permit
rules:
  - permit: fsread
    when: filename match "/*"
  - deny[eacces]: fsread
"""


@pytest.mark.parametrize("abi", ["x86_64", "i386"])
def test_slots_hold_across_births_and_exec(abi: str, tmp_path: Path) -> None:
    """Threads, fork, vfork, clone and exec open from slots that nobody can change or replace."""
    file = tmp_path / "file"
    file.write_text("content")
    ran = run("ptrace", POLICY, [program("slots", abi), file, "1"], tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.count("attempts 5") == 2
    assert ran.decided() > 300

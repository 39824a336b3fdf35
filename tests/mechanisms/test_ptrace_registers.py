"""A rewritten call leaves no trace in the registers."""

from __future__ import annotations

from pathlib import Path

from tests.mechanisms.sandbox import program, run

POLICY = """\
default: permit
rules:
  - permit: fsread
    when: filename match "/*"
  - deny[eacces]: fsread
"""


def test_registers_are_those_of_before(tmp_path: Path) -> None:
    """openat made into openat2 gives every register back, also when signals restart it."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("content")
    link.symlink_to(file)
    ran = run("ptrace", POLICY, [program("registers"), file, "400", link], tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    words = ran.stdout.split()
    assert words[0:2] == ["opens", "800"]
    assert int(words[3]) > 0
    assert ran.decided() >= 800

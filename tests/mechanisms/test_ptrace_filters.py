"""Filters of the target's own under the tracer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mechanisms.sandbox import program, run

POLICY = """\
default: permit
rules:
  - deny[eacces]: fsread
    when: filename sub "secret"
  - permit: fsread
    when: filename match "/*"
  - deny[eacces]: fsread
"""


@pytest.mark.parametrize("way", ["prctl", "seccomp"])
def test_own_filter_keeps_its_meaning(way: str, tmp_path: Path) -> None:
    """A filter that kills for openat2 binds its owner, not what the tracer makes of calls."""
    file, secret = tmp_path / "file", tmp_path / "secret"
    file.write_text("content")
    secret.write_text("content")
    ran = run("ptrace", POLICY, [program("filter"), way, file, secret], tmp_path)
    assert ran.stdout.split() == ["loaded", "getppid:77", "open:0", "open:0", "open:13"]
    assert ran.status in (-31, 159)

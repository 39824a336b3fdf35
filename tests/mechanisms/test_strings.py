"""Texts that are no names (what a link says, how a memory file is called) are judged, and held."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.mechanisms.sandbox import run

POLICY = """
default: permit
rules:
  - permit: [symlink, symlinkat]
    when: string eq "data" and filename re "/link$"
  - permit: [setxattr, removexattr]
    when: string eq "user.known"
  - deny[eacces]: [symlink, symlinkat, setxattr, removexattr]
"""
MEMORY = """
  - permit: memfd_create
    when: string eq "known"
  - deny[eacces]: memfd_create
"""
TRIES = """
import os, sys
def tried(act):
    try:
        return act() or 0
    except OSError as error:
        return error.errno
print(tried(lambda: os.symlink("data", "link")), os.readlink("link"))
print(tried(lambda: os.symlink("other", "link2")), tried(lambda: os.symlink("other", "link")))
print(tried(lambda: os.setxattr("data", "user.other", b"")))
print(tried(lambda: os.setxattr("data", "user.known", b"")) in (0, 95))
if len(sys.argv) > 1:
    print(os.readlink(f"/proc/self/fd/{os.memfd_create('known')}").split()[0])
    print(tried(lambda: os.memfd_create("other")))
"""


@pytest.mark.parametrize("backend", ["ptrace", "notify"])
def test_a_text_is_judged(tmp_path: Path, backend: str) -> None:
    """In full by both: neither asks for --partial."""
    (tmp_path / "data").write_text("content")
    command = [sys.executable, "-I", "-S", "-c", TRIES]
    ran = run(backend, POLICY, command, tmp_path, options=())
    assert ran.stdout == "0 data\n13 13\n13\nTrue\n", ran.stderr


def test_the_kernel_gets_the_text_that_was_judged(tmp_path: Path) -> None:
    """Where a call is made by the task itself (ptrace alone; notify refuses such rules)."""
    (tmp_path / "data").write_text("content")
    command = [sys.executable, "-I", "-S", "-c", TRIES, "memory"]
    ran = run("ptrace", POLICY + MEMORY, command, tmp_path, options=())
    assert ran.stdout == "0 data\n13 13\n13\nTrue\n/memfd:known\n13\n", ran.stderr

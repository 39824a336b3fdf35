"""What the supervisor does for a task is done with the rights that the task has now."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import process
from tests.mechanisms.sandbox import program, run

BOTH = ("ptrace", "notify")
PATH_RULES = """
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "/*"
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody can walk to, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_a_task_is_who_it_is_now(backend: str, place: Path) -> None:
    """Dropped ids count at once: of a process, a thread, a child, a thread that executes."""
    ids = Path(shutil.copy(program("ids"), place))
    secret = place / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    said = []
    for backend_or_none in (None, backend):
        made = place / "made"
        made.mkdir()
        made.chmod(0o777)
        command = [str(ids), str(secret), str(made)]
        if backend_or_none is None:
            said.append(process.run(command, cwd=place).stdout)
        else:
            said.append(run(backend, PATH_RULES, command, place).stdout)
        shutil.rmtree(made)
    assert "dropped: open 13 access 13 chmod 1 mkdir 0 owner 65534" in said[0]
    assert said[1].splitlines() == said[0].splitlines()


_LEASES = """
import fcntl, os, sys
refused = 0
for _ in range(50):
    fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)
    os.close(os.open(sys.argv[1], os.O_RDONLY))
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        refused += 1
    os.close(fd)
print(refused)
"""


@pytest.mark.parametrize("backend", BOTH)
def test_what_the_task_closed_is_closed(backend: str, place: Path) -> None:
    """A file that nobody else has open can be leased: the supervisor keeps no duplicate."""
    command = [sys.executable, "-c", _LEASES, str(place / "file")]
    assert process.run(command, cwd=place).stdout == "0\n"
    assert run(backend, PATH_RULES, command, place).stdout == "0\n"

"""What the supervisor does for a task is done with the rights that the task has now."""

from __future__ import annotations

import os
import shutil
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

"""Scratch directories: gone after their owner, also when it was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness import scratch
from harness.cli import doctor
from harness.scratch import Scratch

OWNER = """
from harness.scratch import Scratch
kept = Scratch()
(kept.path / "something").write_text("left")
print(kept.path, flush=True)
input()
"""


@pytest.fixture
def own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_killed_owners_directory_is_removed(own_tmp: Path) -> None:
    """The next one to be made takes the left one away, never one that is in use; until then
    `harness doctor` tells of it.
    """
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        left = Path(owner.stdout.readline().strip())
        with Scratch() as mine:
            assert mine.exists()
            assert left.exists()
        owner.kill()
    assert left.exists()
    assert list(scratch.left(own_tmp)) == [left]
    (said,) = doctor._left()
    assert (said.state, str(left) in said.mend) == (doctor.NOTE, True)
    with Scratch() as mine:
        assert list(scratch.left(own_tmp)) == []
        assert [mine] == list(own_tmp.iterdir())
    assert list(own_tmp.iterdir()) == []
    (said,) = doctor._left()
    assert (said.state, said.mend) == (doctor.OK, "")


def test_a_directory_that_is_swept_at_birth_is_made_again(
    own_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one's sweep may come between its birth and its lock."""
    made, make = [], tempfile.mkdtemp

    def swept(prefix: str) -> str:
        path = make(prefix=prefix)
        made.append(path)
        if len(made) == 1:
            Path(path).rmdir()
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with Scratch() as path:
        assert path.is_dir()
    assert len(made) == 2

"""Calls that return no descriptor are done by the tracer on what it judged."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.mechanisms.sandbox import run

POLICY = """\
default: permit
rules:
  - deny[eacces]: fswrite
    when: filename sub "/denied/"
    log: true
  - deny[eacces]: fswrite
    when: filename[1] sub "/denied/"
    log: true
"""

SCRIPT = """\
import os
def attempt(call, *names):
    try:
        call(*names)
    except OSError as error:
        print(call.__name__, error.errno)
    else:
        print(call.__name__, "done")
attempt(os.unlink, "scratch/link-to-denied/victim")
attempt(os.unlink, "scratch/gone")
attempt(os.rename, "scratch/a", "scratch/b")
attempt(os.rename, "scratch/b", "denied/b")
attempt(os.rename, "scratch/../denied/victim", "scratch/c")
attempt(os.link, "denied/victim", "scratch/hard")
os.chdir("scratch")
attempt(os.mkdir, "d")
attempt(os.symlink, "target", "s")
attempt(os.rmdir, "d")
"""


def test_names_are_judged_where_they_lead(tmp_path: Path) -> None:
    """unlink, rename, link and mkdir act on permitted objects and fail on denied ones, logged."""
    scratch, denied = tmp_path / "scratch", tmp_path / "denied"
    scratch.mkdir()
    denied.mkdir()
    for file in (scratch / "a", scratch / "gone", denied / "victim"):
        file.write_text("x")
    (scratch / "link-to-denied").symlink_to(denied)
    ran = run("ptrace", POLICY, [sys.executable, "-c", SCRIPT], tmp_path)
    assert ran.stdout.splitlines() == [
        "unlink 13",
        "unlink done",
        "rename done",
        "rename 13",
        "rename 13",
        "link 13",
        "mkdir done",
        "symlink done",
        "rmdir done",
    ], ran.stderr
    assert (denied / "victim").exists()
    assert sorted(path.name for path in scratch.iterdir()) == ["b", "link-to-denied", "s"]
    assert [action for action, _ in ran.decisions()] == ["deny"] * 4

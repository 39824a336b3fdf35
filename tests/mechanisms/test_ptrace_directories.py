"""Working directories that several tasks share."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.mechanisms.sandbox import run

POLICY = """\
default: permit
rules:
  - deny[eacces]: chdir
    when: filename sub "denied"
    log: true
  - permit: chdir
    when: filename match "/*"
  - deny[eacces]: chdir
"""

SCRIPT = """\
import os, threading
refused = []
def walk(name):
    for turn in range(250):
        os.chdir(name)
        try:
            os.chdir(os.path.join(os.path.dirname(name), "denied"))
        except PermissionError:
            refused.append(name)
here = os.getcwd()
walkers = [threading.Thread(target=walk, args=(f"{here}/{name}",)) for name in "ab"]
for walker in walkers:
    walker.start()
for walker in walkers:
    walker.join()
print(os.path.basename(os.getcwd()) in "ab", len(refused))
"""


def test_tasks_that_share_their_directory_take_each_other_along(tmp_path: Path) -> None:
    """Threads that go to permitted directories harm nothing; a denied one stays out of reach."""
    for name in ("a", "b", "denied"):
        (tmp_path / name).mkdir()
    ran = run("ptrace", POLICY, [sys.executable, "-c", SCRIPT], tmp_path)
    assert (ran.status, ran.stdout) == (0, "True 500\n"), ran.stderr
    assert not [event for event in ran.events if event["event"] == "detection"]

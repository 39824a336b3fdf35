"""Tasks that are born while others die."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.mechanisms.sandbox import run

SCRIPT = """\
import os, random
for attempt in range(40):
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        while True:
            if not os.fork():
                os.write(write, b"x")
                os._exit(0)
    os.close(write)
    for birth in range(random.randrange(1, 12)):
        os.read(read, 1)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    while os.read(read, 1000):
        pass
    os.close(read)
print("done")
"""


def test_a_child_outlives_the_parent_killed_at_its_fork(tmp_path: Path) -> None:
    """A parent killed between its fork and the event of it leaves no child behind that hangs."""
    ran = run("ptrace", "default: permit\nrules: []\n", [sys.executable, "-c", SCRIPT], tmp_path)
    assert (ran.status, ran.stdout) == (0, "done\n"), ran.stderr
    assert not [event for event in ran.events if event["event"] == "detection"]

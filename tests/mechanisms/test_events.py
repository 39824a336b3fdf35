"""What a supervisor's log says: how many calls it judged, and whom it kills for which call."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.mechanisms.sandbox import Ran, run

SUPERVISED = ("ptrace", "notify")
ROUNDS = 40
NAMES_JUDGED = """
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename eq "{directory}/secret"
"""
REPEATED = """
import os, sys
for _ in range(int(sys.argv[1])):
    try:
        os.close(os.open(sys.argv[2], os.O_RDONLY))
    except OSError:
        pass
"""


def _judged(ran: Ran) -> dict[str, int]:
    (end,) = (event for event in ran.events if event["event"] == "end")
    judged = end["judged"]
    assert isinstance(judged, dict)
    return judged


@pytest.mark.parametrize("backend", SUPERVISED)
@pytest.mark.parametrize("name", ["{d}/file", "file", "link", "missing", "secret", "/proc/self/fd"])
def test_every_held_call_is_counted_once(tmp_path: Path, name: str, backend: str) -> None:
    """However many rounds a call takes in the supervisor, quick or by steps, it counts as one."""
    (tmp_path / "file").write_text("content")
    (tmp_path / "secret").write_text("content")
    (tmp_path / "link").symlink_to("file")
    policy = NAMES_JUDGED.format(directory=tmp_path)
    counts = []
    for rounds in (0, ROUNDS):
        command = [sys.executable, "-S", "-c", REPEATED, str(rounds), name.format(d=tmp_path)]
        ran = run(backend, policy, command, tmp_path)
        assert ran.status == 0, ran.stderr
        counts.append(_judged(ran)["openat"])
    assert counts[1] - counts[0] == ROUNDS


@pytest.mark.parametrize("backend", SUPERVISED)
@pytest.mark.parametrize(
    ("rule", "call"),
    [
        ("  - kill: getppid\n", "getppid"),
        ("  - kill: kill\n    when: arg[1]:32 == 0\n", "kill"),
        ('  - kill: fsread\n    when: filename eq "{directory}/secret"\n', "openat"),
        ('  - kill: connect\n    when: sockaddr sub "192.0.2.1"\n', "connect"),
    ],
    ids=["plain", "register", "name", "address"],
)
def test_a_kill_names_its_call(tmp_path: Path, rule: str, call: str, backend: str) -> None:
    """A killed target's log has the kill, also where registers alone decide it."""
    (tmp_path / "secret").write_text("content")
    text = f"""
import os, socket
print("before", flush=True)
{{
    "getppid": os.getppid,
    "kill": lambda: os.kill(os.getpid(), 0),
    "openat": lambda: os.open("secret", os.O_RDONLY),
    "connect": lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("192.0.2.1", 80)),
}}["{call}"]()
print("after")
"""
    policy = "default: permit\nrules:\n" + rule.format(directory=tmp_path)
    ran = run(backend, policy, [sys.executable, "-S", "-c", text], tmp_path)
    assert (ran.status, ran.stdout) == (-9, "before\n"), ran.stderr
    assert ran.decisions() == [("kill", call)]


@pytest.mark.parametrize("backend", SUPERVISED)
def test_the_launcher_is_not_the_policys(tmp_path: Path, backend: str) -> None:
    """A policy that kills by default begins with the command, not with what starts it."""
    ran = run(backend, "default: kill\nrules:\n  - permit: execve\n", ["/bin/true"], tmp_path)
    assert ran.status == -9, ran.stderr
    assert [action for action, _ in ran.decisions()] == ["kill"]

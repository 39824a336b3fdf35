"""Calls that return no descriptor are done by the tracer on what it judged."""

from __future__ import annotations

import sys
from errno import EACCES
from pathlib import Path

from enforcer.call import Action, Decision
from enforcer.kernel import ptrace
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.held import HeldCall
from enforcer.mechanisms.ptrace.task_policy import TaskPolicy
from enforcer.mechanisms.ptrace.tasks import Process, Space, Task
from enforcer.policy import parse_yaml
from enforcer.supervision.journal import refusal
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


class Noted(Act):
    """Acts that reach no task: what fails is only written down."""

    def __init__(self) -> None:
        self.failed: list[int] = []

    def note(self, call: HeldCall, decision: Decision) -> bool:
        return True

    def fail(self, call: HeldCall, number: int) -> None:
        self.failed.append(number)


def test_a_refused_call_is_over_once_it_is_settled() -> None:
    """Its task runs on and may stop at another call: nobody may let that one go for this one."""
    policy = parse_yaml("default: permit\nrules: []\n", "policy.yaml")
    task = Task(1, Process(1, Space(), TaskPolicy(policy)))
    call = HeldCall(task, (ptrace.OP_SECCOMP, 0, 0, 0, 39, 0, 0, 0, 0, 0, 0, 0), "getpid", "x86_64")
    act = Noted()
    assert act.settle(call, Decision(action=Action.PERMIT))
    assert act.failed == []
    assert not act.settle(call, refusal(EACCES, "for no reason"))
    assert act.failed == [EACCES]


TOLD = """\
default: permit
rules:
  - permit: chdir
    when: filename sub "/scratch"
    log: true
"""


def test_what_is_logged_is_told_once(tmp_path: Path) -> None:
    """Also of the first call that needs a slot, which is made again when there is one."""
    (tmp_path / "scratch").mkdir()
    script = "import os\nos.chdir('scratch')\nos.chdir('../scratch')"
    ran = run("ptrace", TOLD, [sys.executable, "-c", script], tmp_path)
    assert ran.status == 0
    assert ran.decisions() == [("permit", "chdir")] * 2


def test_a_link_is_read_to_its_length(tmp_path: Path) -> None:
    """What a look gives is its own result, whatever the registers held."""
    script = "import os\nprint([len(os.readlink('link')) for _ in 'abc'])"
    (tmp_path / "link").symlink_to("x" * 77)
    policy = 'default: permit\nrules:\n  - deny: readlink\n    when: filename eq "/no/such"\n'
    ran = run("ptrace", policy, [sys.executable, "-c", script], tmp_path)
    assert ran.stdout.strip() == "[77, 77, 77]"

"""The talk's session in a real guest, word for word, and the backend that is made of it."""

from __future__ import annotations

import pytest

from harness.model import VerdictKind
from harness.places import vm
from harness.places.choice import Wish, targets
from harness.places.vm import VmPlace, vm_place
from harness.vm.module import built
from harness.vm.outside import Outside
from harness.vm.snapshot import restored
from tests.vm.verdicts import verdict_of

pytestmark = pytest.mark.vm

LOAD = """
from enforcer.kernel import module
from pathlib import Path

module.load(Path("/run/m.ko"))
"""
# Of the second version of control groups are the mount and the file of tasks, and `pids` lends its
# groups; bash's error is /bin/echo's here.
BEGIN = "cd /sys/fs/cgroup\necho +pids > cgroup.subtree_control\nmkdir test1\n"
SESSION = [
    ("cat syscalls.deny", ""),
    ("cd test1", ""),
    ("echo 0 > cgroup.procs", ""),
    ("echo 83 > syscalls.deny", ""),
    ("cat syscalls.deny", "83"),
    ("mkdir test2", "mkdir: cannot create directory 'test2': Function not implemented"),
    ("echo 83 > syscalls.allow", ""),
    ("mkdir test2", ""),
    ("cd ..", ""),
    ("echo 83 > syscalls.deny", ""),
    ("cd test1", ""),
    ("mkdir test3", "mkdir: cannot create directory 'test3': Function not implemented"),
    ("/bin/echo 83 > syscalls.allow", "echo: write error: Operation not permitted"),
    # What the talk does not show: a number that is none, and text.
    ("/bin/echo 9999 > syscalls.deny", "echo: write error: Numerical result out of range"),
    ("/bin/echo mkdir > syscalls.deny", "echo: write error: Invalid argument"),
]
"""What is typed, and what is answered (README of luksow/syscalls-cgroup)."""


@pytest.fixture(scope="module")
def place() -> VmPlace:
    """An x86-64 machine, fetched, booted and saved as far as needed."""
    return vm_place("x86_64", say=print)


def test_the_talks_session(place: VmPlace) -> None:
    """Each line answers as in the talk; a parent that denies is not overruled by its child."""
    content = built("syscalls_cgroup", place.base.machine, place.base.kernel, place.kernel, print)
    typed = "".join(f"{{ {line}; }} 2>&1\necho --\n" for line, _ in SESSION)
    with restored(place.base, place.snapshot) as guest:
        guest.put("/run/m.ko", content)
        load = ["env", f"PYTHONPATH={vm.LIBRARY}", "python3", "-c", LOAD]
        assert guest.run(load).status == 0
        done = guest.run(["/bin/sh", "-c", BEGIN + typed])
    said = bytes(done.stdout).decode("utf-8", "replace")
    answers = [each.strip() for each in said.split("--\n")]
    plain = [each.replace("\u2018", "'").replace("\u2019", "'") for each in answers]
    assert plain[: len(SESSION)] == [answer for _, answer in SESSION], said


def _verdict(place: VmPlace, keyword: str, beside: str | None = None) -> VerdictKind:
    (target,) = targets(Wish(arches=("x86_64",), driver=None, kernels=("6.1",)))
    return verdict_of(place, target, "syscalls-cgroup", keyword, beside=beside).verdict.kind


def test_a_group_without_the_call(place: VmPlace) -> None:
    """A child is in its parent's group; a ring makes no call."""
    held = _verdict(place, "renaming_child[", "leaky-ptrace-no-children")
    assert held is VerdictKind.HELD
    assert _verdict(place, "renaming_ring[") is VerdictKind.BYPASSED


def test_without_the_module_nothing_is_enforced(
    place: VmPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine in which it is not loaded has no such files, and there is no verdict on it."""
    monkeypatch.setattr(Outside, "_bring", lambda self, name: "/dev/null")
    assert _verdict(place, "renaming_child[") is VerdictKind.BROKEN

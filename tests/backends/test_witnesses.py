"""What counts as seen from outside of somebody else's sandbox, and what a log of its own tells."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.kernel.seccomp import status
from enforcer.mechanisms.contract import Plan
from enforcer.mechanisms.preparing import Met, Stage
from harness.backends import EXTERNAL
from harness.backends.definition import Log, load
from harness.backends.external import External
from harness.backends.life import stage_of
from harness.evidence import Attributed, unwitnessed, witnessed
from harness.places.layout import Layout

PLAN = Plan(mechanism="none", machine="x86_64", data={})
REFUSED = {"read:/srv/shut/object": errno.ENOENT}


def sandbox(*witness: str, log: Log | None = None) -> External:
    """bubblewrap's description with another witness, and another log."""
    definition = load(EXTERNAL / "bwrap.yaml")
    return External(replace(definition, witness=witness, log=log))


def stage(root: Path) -> Stage:
    """A run below `root`."""
    return stage_of(Layout(root=root), uid=os.getuid(), gid=os.getgid(), walled=False)


@pytest.mark.parametrize(
    ("witness", "answers", "missing"),
    [
        (("probe",), REFUSED, ""),
        (("probe",), {"read:/srv/shut/object": 0}, "probe"),
        (("probe",), {**REFUSED, "write:/srv/shut/object": errno.EINVAL}, "probe"),
        (("probe",), {}, "probe: nothing of this policy can be tried"),
        (("seccomp", "probe"), REFUSED, "seccomp: 0"),
        (("tracer",), REFUSED, "tracer: 0"),
        (("namespace:mnt",), REFUSED, "namespace:mnt"),
    ],
)
def test_what_is_not_seen_is_no_witness(
    witness: tuple[str, ...], answers: dict[str, int], missing: str, tmp_path: Path
) -> None:
    """This process is under no filter, traced by nobody, and in its own namespaces."""
    if "seccomp" in witness and status(os.getpid()).mode:
        pytest.skip("this process is under a filter itself")
    met = Met(pid=os.getpid(), answers=answers)
    events = sandbox(*witness).witness(PLAN, stage(tmp_path), met)
    assert witnessed(events) is not bool(missing)
    assert unwitnessed(events).startswith(missing)


@pytest.mark.parametrize("witness", ["seccomp", "tracer", "namespace:mnt"])
def test_a_target_that_is_no_process_shows_nothing(witness: str, tmp_path: Path) -> None:
    """A sandbox with a kernel of its own has no process to look at: that is no evidence."""
    events = sandbox(witness).witness(PLAN, stage(tmp_path), Met(pid=None, answers=REFUSED))
    assert "no process here is the target" in unwitnessed(events)


def test_a_log_of_its_own_shows_refusals(tmp_path: Path) -> None:
    """A line that the description finds a call and an object in is a refusal of them."""
    where = stage(tmp_path)
    where.state.mkdir()
    (where.state / "log").write_text("denied openat /srv/shut/object\nfine openat /etc/passwd\n")
    log = Log(path="${state}/log", refusal=r"^denied (?P<call>\w+) (?P<object>\S+)$")
    events = sandbox("probe", log=log).collect(PLAN, where)
    assert len(events) == 1
    assert Attributed(calls=frozenset({"openat"}), denied="/srv/shut/object").shown(events)
    assert not Attributed(calls=frozenset({"openat"}), denied="/etc/passwd").shown(events)


LOGGED = (
    "I1127 07:23:08.429818   20266 strace.go:570] [   1:   1] cat E openat(AT_FDCWD /, "
    "0x7ffbcf35efb5 {name}, O_RDONLY|0x0, 0o0)\n"
    "I1127 07:23:08.429951   20266 strace.go:608] [   1:   1] cat X openat(AT_FDCWD /, "
    "0x7ffbcf35efb5 {name}, O_RDONLY|0x0, 0o0) = {answer} (125.188\N{MICRO SIGN}s)\n"
)
REFUSED_THERE = "0 (0x0) errno=2 (no such file or directory)"


@pytest.mark.parametrize(
    ("name", "answer", "shown"),
    [
        ("/srv/shut/object", REFUSED_THERE, True),
        ("/srv/shut/object", "3 (0x3)", False),
        ("/srv/shut/object", "0 (0x0) errno=22 (invalid argument)", False),
        ("/srv/open/object", REFUSED_THERE, False),
        ("../shut/object", REFUSED_THERE, False),
    ],
)
def test_the_log_of_gvisor(name: str, answer: str, shown: bool, tmp_path: Path) -> None:
    """A call that returned with a refusal's errno, and the name that it was given, as given."""
    where = stage(tmp_path)
    where.state.mkdir()
    text = LOGGED.format(name=name, answer=answer)
    (where.state / "log").write_text(text, encoding="utf-8")
    events = External(load(EXTERNAL / "runsc-strace.yaml")).collect(PLAN, where)
    attributed = Attributed(calls=frozenset({"openat"}), denied="/srv/shut/object")
    assert attributed.shown(events) is shown

"""seccomp's first mode, for a target that says when it is ready."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.events import EventKind, NullLog
from enforcer.kernel.seccomp import actions_available
from enforcer.mechanisms.contract import Extent, Options, Plan, Unavailable
from enforcer.mechanisms.strict import MECHANISM, NOTE
from enforcer.policy.parser import parse_yaml
from harness import process
from harness.build import build_source
from harness.evidence import killed_by_enforcer, witnessed
from harness.tree import OWN
from tests.mechanisms.launching import launched
from tests.mechanisms.sandbox import Ran

ATTACKS = OWN / "attacks"
PROGRAM = ATTACKS / "machinery" / "ready-target.c"
POLICY = "default: permit\nrules:\n  - deny[eacces]: openat\n"
ABIS = native().abis
OURS = "from enforcer.mechanisms.strict import MECHANISM\n"
NEVER_READY = """
from enforcer.mechanisms import strict
strict.READY = 7
MECHANISM = strict.MECHANISM
"""

pytestmark = pytest.mark.skipif(not actions_available(), reason="no seccomp here")


def ran(place: Path, mode: str, variant: str = "early", classes: str = OURS) -> Ran:
    """The attack program under the mechanism, with a file that may be read and one that may not."""
    for name in ("allowed", "denied"):
        (place / name).write_text(f"{name}\n")
    program = build_source(PROGRAM, ABIS[0].name, include=ATTACKS / "include")
    words = [f"{name}={place / name}" for name in ("allowed", "denied")]
    command = [str(program), mode, f"variant={variant}", f"dir={place}", "nonce=n", *words]
    return launched(classes, POLICY, command, place, "")


def test_what_is_held_stays_usable(tmp_path: Path) -> None:
    """Reading and writing go on, and an outsider saw that the mode is on."""
    done = ran(tmp_path, "benign")
    assert "DATA allowed\nTOKEN n" in done.stdout
    assert done.status == 0
    assert witnessed(done.events)
    assert not killed_by_enforcer(done.events)


def test_every_other_call_kills(tmp_path: Path) -> None:
    """And the log says in which call the target died."""
    done = ran(tmp_path, "direct")
    assert (done.status, done.stdout) == (-signal.SIGKILL, "")
    assert witnessed(done.events)
    (killed,) = [each for each in done.events if each["event"] == EventKind.DECISION.value]
    assert (killed["action"], killed["call"]) == ("kill", "openat")


def test_what_is_opened_before_is_left(tmp_path: Path) -> None:
    """As published: the mode knows calls and no objects."""
    done = ran(tmp_path, "attack")
    assert "DATA denied\n" in done.stdout
    assert witnessed(done.events)


def test_without_the_mode_nothing_is_enforced(tmp_path: Path) -> None:
    """A target whose word nobody hears is free, and no witness says otherwise."""
    done = ran(tmp_path, "direct", classes=NEVER_READY)
    assert "DATA denied\n" in done.stdout
    assert not witnessed(done.events)


def test_who_would_not_say_so_is_not_run() -> None:
    """A program that does not co-operate would pass for a confined one."""
    own = MECHANISM.compile([parse_yaml(POLICY, "x")], ABIS, Options(partial=True))

    def target() -> int:
        try:
            MECHANISM.launch(own, ["/bin/true"], NullLog())
        except Unavailable:
            return 3

    assert process.wait(process.fork(target)) == 3 << 8
    assert NOTE in build_source(PROGRAM, ABIS[0].name, include=ATTACKS / "include").read_bytes()


COVERS = [
    ("kill", "permit: [read, write, exit]", (Extent.FULL, Extent.FULL)),
    ("kill", "permit: [read, openat]", (Extent.PARTIAL, Extent.FULL)),
    ("permit", "kill: openat", (Extent.FULL, Extent.PARTIAL)),
    ("permit", "deny[eperm]: openat", (Extent.PARTIAL, Extent.PARTIAL)),
    ("permit", "deny[eperm]: write", (Extent.NONE, Extent.PARTIAL)),
]


@pytest.mark.parametrize(("default", "rule", "extents"), COVERS)
def test_one_policy_is_kept(default: str, rule: str, extents: tuple[Extent, ...]) -> None:
    """Of others it is said what is lost."""
    policy = parse_yaml(f"default: {default}\nrules:\n  - {rule}\n", "x")
    assert tuple(each.extent for each in MECHANISM.cover(policy, ABIS)) == extents
    plan: Plan = MECHANISM.compile([policy], ABIS, Options(partial=True))
    assert "any other call kills" in MECHANISM.describe(plan)

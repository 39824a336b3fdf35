"""The stateful machine: the reference enforcers hold, and weak ones lose."""

from __future__ import annotations

import pytest

from harness.fuzz.campaign import Budget, run_campaign
from harness.fuzz.cell import unavailable
from harness.fuzz.machine import check_tree
from harness.fuzz.properties.stateful import STATEFUL
from harness.fuzz.property import Mismatch, Tally
from harness.fuzz.steps import Operation, Result, Slot, Space, Step, Struct, Text, TreeCase

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available")
SIGCHLD, CLONE_UNTRACED = 17, 0x0080_0000
HERE = -100

BORN = Step(0, "clone", (SIGCHLD | CLONE_UNTRACED, 1, 0), Operation.CLONE)
RENAMED = Step(0, "renameat", (HERE, Text("/w/secret/file"), HERE, Text("/w/new")))
BY_DIRECTORY = (
    Step(0, "openat", (HERE, Text("/w"), 0)),
    Step(0, "chdir", (Text("sub"),)),
    Step(0, "openat", (Result(0), Text("secret/file"), 0)),
    Step(0, "read", (Result(2), Space(64), 64)),
)
JAILED = Step(0, "chroot", (Text("/w/jail"),))
SECRET_SOCKET = Struct((), b"\1\0secret/socket\0")
RACED = Step(
    0,
    "openat",
    (Slot(5), Text("/w/jail/./file"), Text("/w/secret/file"), Slot(6), 64, 20_000),
    Operation.RACE,
)
RACE_ROUNDS = 10
"""A race is not won in every run, least of all on a busy machine; the others show at once."""


def check_often(case: TreeCase, tally: Tally) -> None:
    for _ in range(RACE_ROUNDS):
        check_tree(case, tally)


@pytest.mark.parametrize("backend", ["ptrace", "notify"])
def test_nothing_escapes(backend: str) -> None:
    """A few runs of the machine under each enforcer that acts for its target."""
    campaign = run_campaign(STATEFUL, Budget(examples=4), number=2, tally=Tally(backend=backend))
    assert [finding.text() for finding in campaign.findings] == []
    assert campaign.tally.decisions > 0


@pytest.mark.parametrize(
    ("backend", "steps", "words"),
    [
        ("leaky-ptrace-clone-untraced", (BORN,), "has tracer 0"),
        ("leaky-ptrace-no-exitkill", (), "live"),
        ("leaky-ptrace-bare", (RACED,), "denied file|was read"),
        ("leaky-notify-open-only", (RENAMED,), "is gone|is changed"),
        ("leaky-notify-dirfd", BY_DIRECTORY, "holds|was read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_escape_is_noticed(backend: str, steps: tuple[Step, ...], words: str) -> None:
    """Each weakness shows in what is watched from outside; the sound enforcer holds."""
    with pytest.raises(Mismatch, match=words):
        check_often(TreeCase(steps), Tally(backend=backend))
    check_tree(TreeCase(steps), Tally(backend=backend.split("-")[1]))


@pytest.mark.parametrize(
    "steps",
    [
        (Step(0, "openat", (HERE, Text("secret/file"), 0)),),
        (Step(0, "newfstatat", (HERE, Text("secret/file"), Space(144), 0)),),
        (
            Step(0, "socket", (1, 0o4002, 0)),
            Step(0, "sendto", (Result(1), Text("x"), 1, 0x4040, SECRET_SOCKET, 16)),
        ),
    ],
    ids=["open", "stat", "send"],
)
def test_another_root_frees_nothing(steps: tuple[Step, ...]) -> None:
    """What a task holds outside its new root is judged by its name there: once it was free."""
    check_tree(TreeCase((JAILED, *steps)), Tally(backend="ptrace"))


def test_the_machine_finds_an_escape_and_shrinks_it() -> None:
    """A supervisor that forgets rename loses to the machine, in few steps."""
    tally = Tally(backend="leaky-notify-open-only")
    campaign = run_campaign(STATEFUL, Budget(examples=200), number=1, tally=tally)
    (finding,) = campaign.findings
    assert isinstance(finding.case, TreeCase)
    assert len(finding.case.steps) <= 4
    with pytest.raises(Mismatch):
        check_tree(finding.case, tally)

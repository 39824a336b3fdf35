"""Each leaky backend is a real enforcer with one hole: an attack goes through that hole only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.attack import load_attacks
from harness.backends import backend, leaky_names
from harness.backends.weak import Leaky
from harness.model import Outcome, RunKind
from tests.backends.laboratory import ATTACKS, Case, observe

KINDS = (RunKind.BENIGN, RunKind.DIRECT, RunKind.ATTACK)

NO_TRUNCATION = """
default: permit
rules:
  - deny[eacces]: [open, openat]
    when: oflags sub "t"
  - deny[eacces]: [openat2, creat, truncate, ftruncate]
"""
NO_INJECTION = """
default: permit
rules:
  - deny[eperm]: ioctl
    when: arg[1]:32 == TIOCSTI
"""
READING_IN_ONE_DIRECTORY = """
default: permit
rules:
  - permit: fsread
    when: filename match "${allowed_dir}/*" or filename eq "${allowed_dir}"
  - permit: fsread
    when: filename match "/proc/*" or filename match "/dev/*"
  - deny[eacces]: fsread
"""
WRITING_IN_ONE_DIRECTORY = """
default: permit
rules:
  - deny[eacces]: [rename, renameat, renameat2, link, linkat]
    when: not filename[1] match "${allowed_dir}/*"
  - permit: fswrite
    when: filename match "${allowed_dir}/*" or filename match "/proc/*" or filename match "/dev/*"
  - deny[eacces]: fswrite
"""
CONNECTING_TO_ONE_PORT = """
default: permit
rules:
  - permit: connect
    when: sockaddr eq "inet-[127.0.0.1]:${allowed_port}"
  - deny[eacces]: connect
"""

NAMES_IN_ONE_DIRECTORY = """
default: permit
rules:
  - deny[eacces]: [rename, renameat, renameat2, link, linkat]
    when: not filename[1] match "${allowed_dir}/*"
  - permit: [fsread, fswrite]
    when: filename match "${allowed_dir}/*" or filename eq "${allowed_dir}"
  - permit: [fsread, fswrite]
    when: filename match "/proc/*" or filename match "/dev/*"
  - deny[eacces]: [fsread, fswrite]
"""
BUDGET = 20_000


def reading(
    attack: str, *, attempts: int = 1, variant: str = "default", abi: str = "x86_64"
) -> Case:
    return Case(
        attack=attack,
        policy=READING_IN_ONE_DIRECTORY,
        attempts=attempts,
        variant=variant,
        abi=abi,
    )


def writing(attack: str, *, variant: str = "default", abi: str = "x86_64") -> Case:
    return Case(attack=attack, policy=WRITING_IN_ONE_DIRECTORY, variant=variant, abi=abi)


CONNECTING = Case(attack="race/sockaddr-race", policy=CONNECTING_TO_ONE_PORT, attempts=BUDGET)
LINKING = Case(attack="indirect/hardlink-alias", policy=NAMES_IN_ONE_DIRECTORY)

CASES: list[tuple[str, Case]] = [
    ("leaky-notify-bare", reading("race/path-race", attempts=BUDGET)),
    ("leaky-notify-bare", reading("race/path-race", attempts=BUDGET, abi="i386")),
    ("leaky-notify-bare", reading("race/shared-mapping-peer", attempts=BUDGET)),
    ("leaky-notify-bare", reading("race/symlink-swap", attempts=BUDGET)),
    ("leaky-notify-bare", reading("race/cwd-race", attempts=BUDGET)),
    ("leaky-notify-bare", CONNECTING),
    ("leaky-notify-dirfd", reading("replication/dirfd-ignored")),
    ("leaky-notify-open-only", writing("indirect/rename-into-denied")),
    ("leaky-notify-open-only", LINKING),
    ("leaky-notify-page-end", reading("replication/page-end-string")),
    ("leaky-notify-page-end", reading("replication/page-end-string", abi="i386")),
    ("leaky-notify-procfd", writing("indirect/procfd-reopen", variant="self")),
    ("leaky-notify-procfd", writing("indirect/procfd-reopen", variant="thread-self")),
    ("leaky-notify-procfd", writing("indirect/procfd-reopen", variant="dev-fd")),
    ("leaky-ptrace-bare", reading("race/path-race", attempts=BUDGET)),
    ("leaky-ptrace-bare", reading("race/path-race", attempts=BUDGET, abi="i386")),
    ("leaky-ptrace-bare", reading("race/shared-mapping-peer", attempts=BUDGET)),
    ("leaky-ptrace-bare", reading("race/symlink-swap", attempts=BUDGET)),
    ("leaky-ptrace-bare", reading("race/cwd-race", attempts=BUDGET)),
    ("leaky-ptrace-bare", CONNECTING),
    ("leaky-ptrace-clone-untraced", reading("machinery/clone-untraced")),
    ("leaky-ptrace-listener", reading("machinery/notif-over-trace")),
    ("leaky-ptrace-no-exitkill", reading("machinery/supervisor-kill", variant="kill")),
    ("leaky-ptrace-stack-copy", reading("race/rewrite-race", attempts=BUDGET)),
    ("leaky-ptrace-stack-copy", reading("race/rewrite-race", attempts=BUDGET, abi="i386")),
    ("leaky-seccomp-no-arch", Case(attack="abi/int80-compat", policy=NO_TRUNCATION)),
    ("leaky-seccomp-deny-list", Case(attack="subset/io-uring-open", policy=NO_TRUNCATION)),
    ("leaky-seccomp-wide-compare", Case(attack="abi/upper-bits", policy=NO_INJECTION)),
]
IDS = [f"{name}-{case.attack}-{case.variant}-{case.abi}" for name, case in CASES]
MENDED_ATTEMPTS = 500


def test_every_leaky_backend_and_every_attack_has_a_case() -> None:
    """Nothing is left untried, and nothing is listed that does not exist."""
    assert {name for name, _ in CASES} == set(leaky_names())
    assert {case.attack for _, case in CASES} == set(load_attacks(ATTACKS))


@pytest.mark.parametrize("name", leaky_names())
def test_a_leaky_backend_says_what_is_wrong_with_it(name: str) -> None:
    """Its name, that it is leaky, and the weakness in words."""
    found = backend(name)
    assert isinstance(found, Leaky)
    assert (found.name, found.leaky) == (name, True)
    assert found.weakness


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_a_leaky_backend_falls_to_its_attack_only(
    name: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin passes, the direct attempt is denied, the attack reaches the sentinel."""
    seen = observe(case, backend(name), KINDS, tmp_path, monkeypatch)
    assert seen[RunKind.BENIGN].effect, seen[RunKind.BENIGN]
    assert seen[RunKind.DIRECT].outcome is Outcome.BLOCKED, seen[RunKind.DIRECT]
    assert seen[RunKind.ATTACK].effect, seen[RunKind.ATTACK]


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_mended_it_holds(
    name: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its one weakness the same attack is stopped and the twin still passes."""
    found = backend(name)
    assert isinstance(found, Leaky)
    case = replace(case, attempts=min(case.attempts, MENDED_ATTEMPTS))
    seen = observe(case, found.mended(), KINDS, tmp_path, monkeypatch)
    assert seen[RunKind.BENIGN].effect, seen[RunKind.BENIGN]
    assert seen[RunKind.DIRECT].outcome is Outcome.BLOCKED, seen[RunKind.DIRECT]
    attack = seen[RunKind.ATTACK]
    assert not attack.effect, attack
    assert attack.outcome not in (Outcome.BROKEN, Outcome.UNSUPPORTED, Outcome.HUNG), attack

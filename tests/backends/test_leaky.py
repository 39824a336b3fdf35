"""Each leaky backend is a real enforcer with one hole: an attack goes through that hole only."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.backends import backend, leaky_names
from harness.backends.weak import Leaky
from harness.model import Outcome, RunKind
from tests.backends.laboratory import Case, observe

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

CASES: dict[str, Case] = {
    "leaky-notify-bare": Case(
        attack="race/path-race", policy=READING_IN_ONE_DIRECTORY, attempts=20_000
    ),
    "leaky-notify-dirfd": Case(attack="replication/dirfd-ignored", policy=READING_IN_ONE_DIRECTORY),
    "leaky-notify-open-only": Case(
        attack="indirect/rename-into-denied", policy=WRITING_IN_ONE_DIRECTORY
    ),
    "leaky-notify-page-end": Case(
        attack="replication/page-end-string", policy=READING_IN_ONE_DIRECTORY
    ),
    "leaky-notify-procfd": Case(
        attack="indirect/procfd-reopen", policy=WRITING_IN_ONE_DIRECTORY, variant="self"
    ),
    "leaky-ptrace-bare": Case(
        attack="race/path-race", policy=READING_IN_ONE_DIRECTORY, attempts=20_000
    ),
    "leaky-ptrace-clone-untraced": Case(
        attack="machinery/clone-untraced", policy=READING_IN_ONE_DIRECTORY
    ),
    "leaky-ptrace-listener": Case(
        attack="machinery/notif-over-trace", policy=READING_IN_ONE_DIRECTORY
    ),
    "leaky-ptrace-no-exitkill": Case(
        attack="machinery/supervisor-kill", policy=READING_IN_ONE_DIRECTORY, variant="kill"
    ),
    "leaky-ptrace-stack-copy": Case(
        attack="race/rewrite-race", policy=READING_IN_ONE_DIRECTORY, attempts=20_000
    ),
    "leaky-seccomp-no-arch": Case(attack="abi/int80-compat", policy=NO_TRUNCATION),
    "leaky-seccomp-deny-list": Case(attack="subset/io-uring-open", policy=NO_TRUNCATION),
    "leaky-seccomp-wide-compare": Case(attack="abi/upper-bits", policy=NO_INJECTION),
}


def test_every_leaky_backend_has_a_case() -> None:
    """None is left untested, none is listed that does not exist."""
    assert set(CASES) == set(leaky_names())


@pytest.mark.parametrize("name", leaky_names())
def test_a_leaky_backend_says_what_is_wrong_with_it(name: str) -> None:
    """Its name, that it is leaky, and the weakness in words."""
    found = backend(name)
    assert isinstance(found, Leaky)
    assert (found.name, found.leaky) == (name, True)
    assert found.weakness


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_leaky_backend_falls_to_its_attack_only(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin passes, the direct attempt is denied, the attack reaches the sentinel."""
    kinds = (RunKind.BENIGN, RunKind.DIRECT, RunKind.ATTACK)
    seen = observe(CASES[name], backend(name), kinds, tmp_path, monkeypatch)
    assert seen[RunKind.BENIGN].effect, seen[RunKind.BENIGN]
    assert seen[RunKind.DIRECT].outcome is Outcome.BLOCKED, seen[RunKind.DIRECT]
    assert seen[RunKind.ATTACK].effect, seen[RunKind.ATTACK]


@pytest.mark.parametrize("name", sorted(CASES))
def test_mended_it_holds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its one weakness the same attack is stopped and the twin still passes."""
    found = backend(name)
    assert isinstance(found, Leaky)
    kinds = (RunKind.BENIGN, RunKind.DIRECT, RunKind.ATTACK)
    seen = observe(CASES[name], found.mended(), kinds, tmp_path, monkeypatch)
    assert seen[RunKind.BENIGN].effect, seen[RunKind.BENIGN]
    assert seen[RunKind.DIRECT].outcome is Outcome.BLOCKED, seen[RunKind.DIRECT]
    attack = seen[RunKind.ATTACK]
    assert not attack.effect, attack
    assert attack.outcome not in (Outcome.BROKEN, Outcome.UNSUPPORTED), attack

"""What each way really does, as strace sees it: the calls that are made, and by what names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from enforcer.arch import native
from harness.attack import load_attacks
from tests.attacks.laboratory import ROOT, run_unconfined

ATTACKS = load_attacks(ROOT)
NATIVE = native().abis[0].name
FILE = r'"/[^"]*/shut/object"'
SOCKET = r"\{.*sin_port=htons"
WARM_ROUNDS = 64

WAYS = [
    ("page-end-string", "default", rf"openat\(AT_FDCWD, {FILE}"),
    ("page-end-string", "default+open", rf"open\({FILE}"),
    ("page-end-string", "default+openat2", rf"openat2\(AT_FDCWD, {FILE}"),
    ("page-end-string", "default+relative", r'openat\(AT_FDCWD, "\.\./shut/object"'),
    ("page-end-string", "default+dirfd", r'openat\(\d+, "\.\./shut/object"'),
    ("dangling-create", "default+creat", r'creat\("/[^"]*/open/link"'),
    ("hardlink-alias", "default+link", rf"link\({FILE}"),
    ("rename-into-denied", "default+rename", rf'rename\("[^"]*", {FILE}'),
    ("rename-into-denied", "default+renameat", rf'renameat\(AT_FDCWD, "[^"]*", AT_FDCWD, {FILE}'),
    ("metadata", "mode+chmod", rf"chmod\({FILE}"),
    ("metadata", "mode+fchmodat2", r"(fchmodat2|syscall_0x1c4)\(.*"),
    ("script-interpreter", "default+execveat", r'execveat\(AT_FDCWD, "./script"'),
    ("sockaddr-race", "default+sendto", rf"sendto\(\d+, [^{{]*{SOCKET}"),
    ("sockaddr-race", "default+sendmsg", rf"sendmsg\(\d+, {SOCKET}"),
    ("sockaddr-race", "default+sendmmsg", rf"sendmmsg\(\d+, \[{SOCKET}"),
]


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    """Where strace writes; the test is skipped without it."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    return tmp_path / "calls"


def calls_of(name: str, variant: str, mode: str, traced: Path) -> list[str]:
    """The lines of strace, without numbers of tasks."""
    (attack,) = (each for each in ATTACKS.values() if each.name == name)
    through = ["strace", "-f", "-s", "4096", "-o", str(traced)]
    run_unconfined(attack, NATIVE, variant, mode, traced.parent / "scratch", through=through)
    return [line.partition(" ")[2].lstrip() for line in traced.read_text().splitlines()]


@pytest.mark.parametrize(("name", "variant", "call"), WAYS, ids=[row[1] for row in WAYS])
def test_an_attack_goes_its_way(name: str, variant: str, call: str, traced: Path) -> None:
    """The call that is listed reaches for the denied object, by the name that is listed."""
    calls = calls_of(name, variant, "attack", traced)
    assert any(re.match(call, line) for line in calls), "\n".join(calls)


@pytest.mark.parametrize("way", ["open", "openat2", "relative", "dirfd"])
def test_the_direct_attempt_is_made_plainly(way: str, traced: Path) -> None:
    """Whatever the way: an enforcer that has forgotten it must deny the plain act."""
    calls = calls_of("page-end-string", f"default+{way}", "direct", traced)
    assert any(re.match(WAYS[0][2], line) for line in calls), "\n".join(calls)


def test_a_name_from_a_descriptor_means_nothing_from_where_one_is(traced: Path) -> None:
    """The current directory is another: who ignores the descriptor judges another name."""
    calls = calls_of("page-end-string", "default+dirfd", "attack", traced)
    moves = [line for line in calls if line.startswith("chdir(")]
    assert re.match(r'chdir\("elsewhere"\) += 0', moves[-1]), moves


def test_a_warm_up_is_the_same_permitted_act_many_times(traced: Path) -> None:
    """On the twin, before the denied object is reached for."""
    calls = calls_of("page-end-string", "default+warm", "attack", traced)
    opens = [line for line in calls if line.startswith("openat(")]
    twin = [line for line in opens if "/open/object" in line]
    assert len(twin) == WARM_ROUNDS
    assert [line for line in opens if re.match(WAYS[0][2], line)] == opens[-1:]

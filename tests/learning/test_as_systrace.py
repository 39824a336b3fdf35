"""What systrace's users typed, with the verb of today: -f, -U, -u and -c, and logs by -e and -E."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from enforcer.mechanisms.ptrace import MECHANISM

pytestmark = pytest.mark.skipif(bool(MECHANISM.probe()), reason=f"ptrace: {MECHANISM.probe()}")

RUN = (sys.executable, "-m", "enforcer", "run")
CAT = os.path.realpath("/usr/bin/cat")
PERMITS = "Policy: {binary}, Emulation: native\n{rules}\n"
ALL = "default: permit\nrules: []\npolicy: {binary}\n"
LINE = re.compile(
    r"deny user: \S+, prog: (?P<program>\S+), pid: \d+\(\d+\)\[\d+\], policy: (?P<policy>\S+), "
    r"filters: \d+, syscall: native-openat\(257\), .*filename: (?P<name>\S+), .*"
)


def refusing(binary: str, name: Path) -> str:
    """A policy that permits all but to read one file."""
    rule = f'  - deny[eacces]: fsread\n    when: filename eq "{name}"\n'
    return f"policy: {binary}\ndefault: permit\nrules:\n{rule}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose policy of cat(1) permits all, and a file to read."""
    (tmp_path / ".systrace").mkdir()
    (tmp_path / ".systrace" / "usr_bin_cat").write_text(ALL.format(binary=CAT))
    (tmp_path / "data").write_text("content\n")
    return tmp_path


def run(home: Path, *words: str | Path, before: tuple[str, ...] = ()) -> tuple[str, str]:
    """What the command says on both of its outputs."""
    done = subprocess.run(
        [*before, *RUN, *map(str, words), "--", "cat", "data"],
        cwd=home,
        env={**os.environ, "HOME": str(home), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, done.stderr


def test_a_file_that_is_named_comes_before_the_others(home: Path) -> None:
    """systrace -f FILE -a CMD."""
    (home / "more").write_text(refusing(CAT, home / "data"))
    said, errors = run(home, "-d", ".systrace", "-f", "more")
    assert said == ""
    assert "cat: data: Permission denied" in errors


IN_ITS_OWN_ETC = """
mount -t tmpfs none /etc && mkdir /etc/systrace && cp policy /etc/systrace/usr_bin_cat || exit 77
exec "$@"
"""


@pytest.mark.parametrize(("words", "reads"), [((), True), (("-U",), False)], ids=["own", "-U"])
def test_policies_of_the_system_only(home: Path, words: tuple[str, ...], reads: bool) -> None:
    """systrace -U -a CMD: what a user wrote does not count; without -U it comes first."""
    (home / "policy").write_text(refusing(CAT, home / "data"))
    inside = ("unshare", "-rm", "sh", "-c", IN_ITS_OWN_ETC, "sh")
    said, errors = run(home, *words, before=inside)
    if "unshare:" in errors or "mount:" in errors:
        pytest.skip("user namespaces with mounts are not permitted here")
    assert (said == "content\n") is reads, errors
    assert ("Permission denied" in errors) is not reads


def test_refusals_go_to_standard_error(home: Path) -> None:
    """systrace -e: its own line."""
    (home / "policy.yaml").write_text(refusing(CAT, home / "data"))
    said, errors = run(home, "-p", "policy.yaml", "-e")
    found = [match for line in errors.splitlines() if (match := LINE.fullmatch(line))]
    assert [match["program"] for match in found] == [CAT]
    assert [match["name"] for match in found] == [str(home / "data")]
    assert said == ""


def test_refusals_go_to_a_file(home: Path) -> None:
    """systrace -E FILE, appended to what is there."""
    (home / "policy.yaml").write_text(refusing(CAT, home / "data"))
    (home / "log").write_text("before\n")
    _, errors = run(home, "-p", "policy.yaml", "-E", "log")
    assert errors == "cat: data: Permission denied\n"
    first, *lines = (home / "log").read_text().splitlines()
    assert first == "before"
    assert [match["policy"] for line in lines if (match := LINE.fullmatch(line))] == [
        str(home / "policy.yaml")
    ]


@pytest.mark.parametrize(("words", "reads"), [((), True), (("-u",), False)], ids=["aliases", "-u"])
def test_aliases_do_not_count(home: Path, words: tuple[str, ...], reads: bool) -> None:
    """systrace -u: a rule on fsread permits no open."""
    others = "execve mmap mprotect brk close read write newfstatat fstat arch_prctl exit_group "
    others += "set_tid_address set_robust_list rseq prlimit64 getrandom fadvise64 pread64 munmap"
    rules = [f"\tnative-{name}: permit" for name in others.split()]
    text = PERMITS.format(binary=CAT, rules="\n".join([*rules, "\tnative-fsread: permit"]))
    (home / "policy.systrace").write_text(text)
    said, _ = run(home, "-p", "policy.systrace", *words)
    assert (said == "content\n") is reads


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user's ids")
def test_the_command_is_another_users(home: Path) -> None:
    """systrace -c UID:GID: it may not read what only root may."""
    (home / "policy.yaml").write_text("default: permit\nrules: []\n")
    (home / "data").chmod(0o600)
    for directory in (home, *home.parents[:-2]):
        directory.chmod(directory.stat().st_mode | 0o055)
    said, errors = run(home, "-p", "policy.yaml", "-c", "65534:65534")
    assert (said, errors) == ("", "cat: data: Permission denied\n")

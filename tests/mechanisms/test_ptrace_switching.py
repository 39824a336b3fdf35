"""Several policies, one a binary, and what an execve makes of them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import process
from tests.mechanisms.sandbox import Ran, program, run

SHUT = "  - deny[eacces]: mkdir\n"
SHUT_BY_NAME = '  - deny[eacces]: mkdir\n    when: filename match "/*"\n'
OPEN = "  - permit: mkdir\n"


def policy(binary: Path | None, *rules: str) -> str:
    """A policy that permits what `rules` leave."""
    head = "" if binary is None else f"policy: {binary}\n"
    return f"{head}default: permit\nrules:\n{''.join(rules)}  - permit: getppid\n"


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return Path(shutil.copy(program("steps"), tmp_path / "a"))


@pytest.fixture
def b(tmp_path: Path) -> Path:
    return Path(shutil.copy(program("steps"), tmp_path / "b"))


@pytest.fixture
def c(tmp_path: Path) -> Path:
    return Path(shutil.copy(program("steps"), tmp_path / "c"))


def steps(
    policies: str | Sequence[str],
    command: Sequence[str | Path],
    directory: Path,
    options: Sequence[str] = (),
) -> list[str]:
    """What the programs say that they did: `directory:errno` each."""
    return ran_steps(policies, command, directory, options).stdout.split()


def ran_steps(
    policies: str | Sequence[str],
    command: Sequence[str | Path],
    directory: Path,
    options: Sequence[str] = (),
) -> Ran:
    ran = run("ptrace", policies, command, directory, options=options)
    assert (ran.status, ran.stderr) == (0, "")
    assert not [event for event in ran.events if event["event"] == "detection"]
    return ran


@pytest.mark.parametrize("shut", [SHUT, SHUT_BY_NAME], ids=["in-kernel", "by-name"])
def test_an_execution_brings_the_policy_of_its_binary(
    shut: str, a: Path, b: Path, tmp_path: Path
) -> None:
    """A's denials end where B begins and come back with A, also those that a filter could give."""
    policies = [policy(a, shut), policy(b, OPEN)]
    done = steps(policies, [a, "1", b, "2", a, "3"], tmp_path)
    assert done == ["1:13", "2:0", "3:13"]
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_dir()) == ["2"]


def test_a_child_changes_its_own_policy_only(a: Path, b: Path, tmp_path: Path) -> None:
    """What a child executes does not change what its parent may do."""
    policies = [policy(a, SHUT), policy(b, OPEN)]
    assert steps(policies, [a, "1", "fork", b, "2"], tmp_path) == ["1:13", "2:0", "12:13"]


def test_several_policies_of_one_systrace_file(a: Path, b: Path, tmp_path: Path) -> None:
    """Sections `Policy:` of one file are policies of several binaries."""
    # The C library's printf is a write or a writev.
    calls = ("fswrite", "write", "writev")
    permits = "".join(f" native-{call}: permit\n" for call in calls)
    shared = f"native-execve: true then permit\n{permits}"
    sections = [
        f"Policy: {binary}, Emulation: native\n native-mkdir: {action}\n {shared}"
        for binary, action in ((a, "deny[eacces]"), (b, "permit"))
    ]
    assert steps("".join(sections), [a, "1", b, "2"], tmp_path) == ["1:13", "2:0"]


def test_inherit_keeps_the_policy(a: Path, b: Path, c: Path, tmp_path: Path) -> None:
    """[inherit] keeps A's policy over the executions that its rule permits, and no others."""
    inherits = f'  - permit[inherit]: execve\n    when: filename eq "{b}"\n'
    policies = [policy(a, SHUT, inherits), policy(b, OPEN), policy(c, OPEN)]
    assert steps(policies, [a, "1", b, "2", c, "3"], tmp_path) == ["1:13", "2:13", "3:0"]


def test_the_option_inherit_keeps_the_first_policy(a: Path, b: Path, tmp_path: Path) -> None:
    """Under --inherit all that the command executes keeps the command's policy."""
    policies = [policy(a, SHUT), policy(b, OPEN)]
    assert steps(policies, [a, "1", b, "2"], tmp_path, ["--inherit"]) == ["1:13", "2:13"]


@pytest.mark.parametrize("shut", [SHUT, SHUT_BY_NAME], ids=["in-kernel", "by-name"])
def test_detach_lets_go(shut: str, a: Path, b: Path, tmp_path: Path) -> None:
    """[detach] of a single policy frees what it executes, and all that this executes in turn."""
    detaches = "  - permit[detach]: execve\n"
    done = steps(policy(None, shut, detaches), [a, "1", b, "2", "fork", a, "3"], tmp_path)
    assert done == ["1:13", "2:0", "3:0", "22:0"]


def test_what_is_detached_stays_so(a: Path, b: Path, tmp_path: Path) -> None:
    """A detached process that executes a binary with a policy of its own is still free."""
    detaches = f'  - permit[detach]: execve\n    when: filename eq "{b}"\n'
    policies = [policy(a, SHUT, detaches), policy(b, SHUT)]
    assert steps(policies, [a, "1", b, "2", a, "3"], tmp_path) == ["1:13", "2:0", "3:0"]


def test_a_policy_for_any_binary_takes_the_rest(a: Path, b: Path, tmp_path: Path) -> None:
    """Where one policy is for any binary, it is that of every binary without one."""
    policies = [policy(a, OPEN), policy(None, SHUT)]
    assert steps(policies, [a, "1", b, "2"], tmp_path) == ["1:0", "2:13"]


def test_a_binary_without_policy_is_not_executed(a: Path, b: Path, c: Path, tmp_path: Path) -> None:
    """Where no policy is for a binary, its execution is denied, and the denial logged."""
    ran = ran_steps([policy(a, OPEN), policy(b, OPEN)], [a, "1", c, "2"], tmp_path)
    assert ran.stdout.split() == ["1:0", "execve:13"]
    assert ran.decisions() == [("deny", "execve")]


def test_links_lead_to_the_policy_of_the_binary(a: Path, b: Path, tmp_path: Path) -> None:
    """A policy that names its binary by a link is for the file that the link led to at first."""
    (tmp_path / "link").symlink_to(b)
    policies = [policy(None), policy(a, SHUT), policy(tmp_path / "link", OPEN)]
    assert steps(policies, [a, "1", b, "2"], tmp_path) == ["1:13", "2:0"]
    relinking = f"ln -sf {a} link; exec {a} 3 {tmp_path}/link 4"
    assert steps(policies, ["/bin/sh", "-c", relinking], tmp_path) == ["3:13", "4:13"]


def test_an_edited_policy_file_changes_nothing(a: Path, b: Path, c: Path, tmp_path: Path) -> None:
    """A (denied) executes B (permitted, its file edited meanwhile), which detaches C."""
    policies = [
        policy(None),
        policy(a, SHUT),
        policy(b, OPEN, "  - permit[detach]: execve\n"),
        policy(c, SHUT),
    ]
    (tmp_path / "edited").write_text(policy(b, SHUT))
    script = f"{a} 1; cp edited policy-2.yaml; exec {a} 2 {b} 3 {c} 4"
    done = steps(policies, ["/bin/sh", "-c", script], tmp_path)
    assert done == ["1:13", "2:13", "3:0", "4:0"]
    assert (tmp_path / "policy-2.yaml").read_text() == policy(b, SHUT)


SWAPPING = """\
import os, sys
from pathlib import Path
from enforcer.arch import native
from enforcer.events import FileLog
from enforcer.mechanisms.contract import Defence, Options
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.mechanism import Ptrace
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.policy import load_policies
from enforcer.syscalls import number

defences, log, *command = sys.argv[1:]
EXECVE = number(native().abis[0].name, "execve")

class Swap(Act):
    def redirect(self, call, nr, arguments, at_exit):
        if nr == EXECVE:
            os.rename(Path(command[0]).with_name("other"), Path(command[0]).with_name("b"))
        super().redirect(call, nr, arguments, at_exit)

class Swapping(Tracer):
    make_act = Swap

class Swapped(Ptrace):
    make_tracer = Swapping

policies = [one for file in ("0", "1") for one in load_policies(Path(f"policy-{file}.yaml"))]
chosen = Options(defences=frozenset(map(Defence, defences.split(","))))
plan = Swapped().compile(policies, native().abis, chosen)
descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
Swapped().launch(plan, command, FileLog(descriptor))
"""


@pytest.mark.parametrize("defences", ["copy,pin,verify", "copy,pin"], ids=["verified", "not"])
def test_the_judged_image_is_the_executed_one(
    defences: str, a: Path, b: Path, tmp_path: Path
) -> None:
    """Another file in B's place between judgement and execution ends the sandbox unexecuted.

    Without `verify` that file runs under B's policy: the exchange took place.
    """
    shutil.copy(a, tmp_path / "other")
    (tmp_path / "policy-0.yaml").write_text(policy(a, SHUT))
    (tmp_path / "policy-1.yaml").write_text(policy(b, OPEN))
    log = tmp_path / "swapped.jsonl"
    done = process.run(
        [sys.executable, "-c", SWAPPING, defences, log, a, "1", b, "2"], cwd=tmp_path
    )
    assert not (tmp_path / "other").exists()
    if "verify" in defences:
        assert (done.status, done.stdout) == (-9, "1:13\n"), done.stderr
        assert "another image than judged" in log.read_text()
    else:
        assert (done.status, done.stdout) == (0, "1:13\n2:0\n"), done.stderr
    assert os.access(b, os.X_OK)

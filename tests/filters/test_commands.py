"""enforcer check, explain, run, diff and dump on filters of others."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from enforcer.arch import native
from enforcer.cli import cli
from enforcer.kernel.seccomp_filter import filters_of
from enforcer.mechanisms.seccomp import PROBE
from tests.filters.filters import ALLOW, profile, written

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the tables below are those of x86_64"
)
ABOVE = {"names": ["socket"], "action": ALLOW, "args": [{"value": 40, "op": "SCMP_CMP_GT"}]}
DENIES = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}


def enforcer(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, "p.json", profile(ABOVE))


@pytest.fixture
def denying(tmp_path: Path) -> Path:
    return written(tmp_path, "d.json", profile(DENIES, defaultAction=ALLOW))


def test_check(file: Path) -> None:
    """It says what was read; with --format, the policy; with a mistake, where."""
    assert "in order, docker, 1 call named" in enforcer("check", file).output
    assert "when: arg[0] > 0x28" in enforcer("check", "--format", file).output
    file.write_text(file.read_text().replace("_GT", "_XX"))
    bad = enforcer("check", file)
    assert (bad.exit_code, "p.json:4:1: unknown operator" in bad.output) == (2, True)


def test_the_dialect_is_told(file: Path, tmp_path: Path) -> None:
    """Where no name says it, --dialect does."""
    other = file.rename(tmp_path / "profile")
    assert enforcer("check", other).exit_code == 2
    assert enforcer("check", "--dialect", "docker", other).exit_code == 0


def test_explain(file: Path) -> None:
    """The answer, and the line behind it."""
    assert f"ALLOW   ({file}:4)" in enforcer("explain", file, "socket", "0x100000028").output
    assert "ERRNO(1 EPERM)   (default)" in enforcer("explain", file, "socket", "40").output


def test_diff(file: Path, denying: Path) -> None:
    """Status 0 for equal ones; 1 and witnesses for others, for programs too."""
    assert enforcer("diff", file, file).exit_code == 0
    found = enforcer("diff", "--json", file, denying)
    assert found.exit_code == 1
    rows = [json.loads(line) for line in found.output.splitlines()]
    (row,) = (row for row in rows if row["calls"] == ["mkdir", "mkdirat"])
    assert (row["abi"], row["a"], row["b"]) == ("x86_64", "ERRNO(1 EPERM)", "ERRNO(38 ENOSYS)")
    assert enforcer("diff", file, "missing.json").exit_code == 2


def test_stacked_operands(file: Path, denying: Path) -> None:
    """`A+B` answers as both over one process: the strictest, of equal ones the first one's."""
    both = f"{file}+{denying}"
    assert enforcer("diff", file, both).exit_code == 0
    assert enforcer("diff", f"{denying}+{file}", both).exit_code == 1  # mkdir: ENOSYS, or EPERM
    assert enforcer("diff", denying, both).exit_code == 1


def test_what_is_cut_short_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither command says that it looked at all: status 3, and the calls that are left."""
    monkeypatch.setattr("enforcer.filters.walk.MOST_STEPS", 8)
    found = enforcer("diff", file, file)
    assert (found.exit_code, "x86_64 socket: more than 8 steps" in found.output) == (3, True)
    assert "could not be compared to the end" in found.output
    audit = enforcer("audit", file)
    assert (audit.exit_code, "not looked at to the end: x86_64 socket" in audit.output) == (3, True)


def run(backend: str, policy: Path, *command: object) -> subprocess.CompletedProcess[str]:
    words = ["run", "--backend", backend, "--policy", policy, "--", *command]
    return subprocess.run(
        [sys.executable, "-m", "enforcer", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("backend", ["seccomp", "ptrace"])
def test_run(backend: str, denying: Path, tmp_path: Path) -> None:
    """The command is under the filter, loaded as it is or as a policy."""
    done = run(backend, denying, "mkdir", tmp_path / "new")
    assert (done.returncode, "Function not implemented" in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "new").exists()
    assert run(backend, denying, "true").returncode == 0


def no_filters_are_given() -> str:
    """Why this kernel gives nobody's filters to us: asked of a process that has none (EINVAL)."""
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            filters_of(process.pid)
        except OSError as error:
            return "" if error.errno == errno.EINVAL else os.strerror(error.errno or 0)
        finally:
            process.kill()
    return ""


@pytest.fixture
def confined(denying: Path) -> Iterator[int]:
    """A process under the filter, which has said that it runs."""
    command = [sys.executable, "-m", "enforcer", "run", "--backend", "seccomp"]
    command += ["--policy", str(denying), "--", "sh", "-c", "echo; read line"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_dump(confined: int, denying: Path, tmp_path: Path) -> None:
    """A running process is under the filter that was given, but for the launcher's probe."""
    if reason := no_filters_are_given():
        pytest.skip(f"PTRACE_SECCOMP_GET_FILTER: {reason}")
    assert "ERRNO(38 ENOSYS)" in enforcer("dump", "--pid", confined).output
    rows = enforcer("diff", "--json", denying, f"pid:{confined}").output.splitlines()
    probe = f"call {PROBE.number:#x}"
    assert {call for row in rows for call in json.loads(row)["calls"]} == {probe}
    output = tmp_path / "x.bpf"
    assert enforcer("dump", "--pid", confined, "-o", output).exit_code == 0
    assert enforcer("diff", output, f"pid:{confined}").output.startswith("no call")


def test_dump_of_nothing() -> None:
    """A process that is not there, or under no filter, is one error."""
    assert "no such process" in enforcer("dump", "--pid", 2**22 + 1).output

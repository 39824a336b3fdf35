"""What runtimes install: caught, compared, explained, and asked of the kernel."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from enforcer.arch import native
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import Code, Instruction
from enforcer.cbpf.spec import ALLOW, ERRNO, SpecClause
from enforcer.condition import TRUE
from enforcer.filters.docker import read_docker, resolved
from enforcer.filters.model import Filter
from enforcer.filters.operand import read_operand
from enforcer.filters.raw import of_programs
from harness.cli import cli
from harness.fuzz import bulk
from harness.runtimes import installed
from harness.runtimes.known import RUNTIMES, minijail_constants, why_not
from tests.filters.filters import ALLOW as PERMITTED
from tests.filters.filters import profile, said

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the tables below are those of x86_64"
)
ABOVE = {"names": ["socket"], "action": PERMITTED, "args": [{"value": 40, "op": "SCMP_CMP_GT"}]}
ALL_ABIS = {
    "archMap": [
        {
            "architecture": "SCMP_ARCH_X86_64",
            "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        }
    ]
}
TEXT = profile({"names": ["read", "execve", "socketcall"], "action": PERMITTED}, ABOVE, **ALL_ABIS)
POLICIES = {
    "kill": "default: kill\nrules:\n  - permit: [execve, read]\n",
    "registers": "default: deny[eperm]\nrules:\n  - permit: execve\n  - permit: close\n"
    "    when: arg[0] > 2 and arg[0] < 100\n  - deny[eio]: dup\n    when: arg[0] & 0xf0 == 0x10\n",
    "denies": "default: permit\nrules:\n  - deny[enosys]: clone3\n  - kill: socketcall\n"
    "  - deny[eacces]: ioctl\n    when: arg[1] & 0xffffffff == 0x5412\n",
}


def test_minijails_compiler_knows_what_its_policies_name() -> None:
    """Errnos and the C library's constants, which stand in no header of the kernel's together."""
    told = json.loads(minijail_constants())["constants"]
    assert (told["ENOENT"], told["SOCK_CLOEXEC"], told["PROT_EXEC"]) == (2, 0o2000000, 4)


def cannot_start(runtime: str) -> str:
    """Why it cannot be started here, asked of the machine and not of the runtime."""
    return why_not(RUNTIMES[runtime])


def audit(runtime: str, path: Path, *words: str) -> tuple[int, dict[str, object]]:
    done = CliRunner().invoke(cli, ["audit", "--runtime", runtime, "--json", str(path), *words])
    assert done.stdout.startswith("{"), done.output
    found: dict[str, object] = json.loads(done.stdout)
    return done.exit_code, found


@pytest.mark.parametrize("name", POLICIES)
def test_bwrap_loads_what_was_exported(name: str, tmp_path: Path) -> None:
    """The filter of a process under `bwrap --seccomp` answers as the policy, on every ABI."""
    if reason := cannot_start("bwrap"):
        pytest.skip(f"bwrap: {reason}")
    path = tmp_path / "p.yaml"
    path.write_text(POLICIES[name])
    status, found = audit("bwrap", path)
    assert (status, found["different"], found["unproven"], found["mistaken"]) == (0, [], [], [])
    asked = found["asked"]
    assert isinstance(asked, dict)
    assert set(asked) == {"x86_64", "x32", "i386"}
    assert found["kernel"] or bulk.unavailable()


def test_crun(tmp_path: Path) -> None:
    """What it installs is what the profile says: no call differs, or libseccomp lacks it."""
    if reason := cannot_start("crun"):
        pytest.skip(f"crun: {reason}")
    path = tmp_path / "p.json"
    path.write_text(TEXT)
    status, found = audit("crun", path, "--keep", str(tmp_path / "kept"))
    assert (status, found["different"], found["mistaken"]) == (0, [], [])
    kept = sorted(each.name for each in (tmp_path / "kept" / "crun").glob("installed.*"))
    assert kept == ["installed.0.bpf"]


def test_a_runtime_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told from where to get it, with status 3; an unknown one is a mistake."""
    path = tmp_path / "p.json"
    path.write_text(TEXT)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = CliRunner().invoke(cli, ["audit", "--runtime", "crun", str(path)])
    assert (done.exit_code, "apt install crun" in done.output) == (3, True)
    done = CliRunner().invoke(cli, ["audit", "--runtime", "crum", str(path)])
    assert (done.exit_code, "did you mean crun?" in done.output) == (2, True)


def of_text() -> Filter:
    return read_docker(TEXT, "p.json")


def test_a_difference_is_none_of_the_explained() -> None:
    """A filter that answers one call otherwise is not proven; the call is named."""
    other = read_docker(TEXT.replace('"value": 40', '"value": 41'), "q.json")
    found = installed.judged(RUNTIMES["crun"], Path("p.json"), of_text(), other)
    assert not found.is_proven
    calls = {call for each in found.comparison.differences for call in each.calls}
    assert calls == {"socket"}
    assert found.mistaken == ()


def test_calls_that_the_library_lacks_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """They get the default, which is said with their names, and nothing else is excused."""
    pytest.importorskip("pyseccomp", reason="the extra `seccomp`")
    monkeypatch.setattr("enforcer.cbpf.libseccomp.is_known", lambda abi, call: call != "read")
    without = read_docker(TEXT.replace('"read", ', ""), "q.json")
    found = installed.judged(RUNTIMES["crun"], Path("p.json"), of_text(), without)
    (reason,) = found.explained
    assert (found.is_proven, "libseccomp does not know" in reason) == (True, True)
    assert found.explained[reason] == ("i386 read", "read", "x32 read")
    plain = installed.judged(RUNTIMES["bwrap"], Path("p.json"), of_text(), without)
    assert (plain.is_proven, plain.explained) == (False, {})


def test_runcs_stub_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the highest number that the profile names there is ENOSYS; below is the default."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    mine = of_text()
    assert mine.spec is not None
    tables = tuple(
        replace(
            each,
            calls={
                nr: (*each.calls.get(nr, ()), SpecClause(TRUE, each.unknown))
                for nr in range(each.abi.nr_bit, max(each.calls) + 1)
            },
            unknown=ERRNO(38),
        )
        for each in mine.spec.tables
    )
    stubbed = of_programs((compile_filter(replace(mine.spec, tables=tables)),), "runc")
    found = installed.judged(RUNTIMES["runc"], Path("p.json"), mine, stubbed)
    (reason,) = found.explained
    assert (found.is_proven, "ENOSYS above all numbers" in reason) == (True, True)
    assert "close" not in found.explained[reason]
    assert not installed.judged(RUNTIMES["crun"], Path("p.json"), mine, stubbed).is_proven


def test_a_kernel_that_answers_otherwise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulator and kernel are asked for every way: one wrong answer is told with its call."""
    monkeypatch.setattr(installed, "unavailable", lambda: "")
    monkeypatch.setattr(
        installed, "kernel_answers", lambda program, calls: [ALLOW] + [ERRNO(1)] * (len(calls) - 1)
    )
    refuses = of_programs((((Instruction(Code.RET, ERRNO(1))),),), "x")
    found = installed.judged(None, Path("p"), refuses, refuses)
    assert (found.comparison.is_equal, found.is_proven) == (True, False)
    assert found.mistaken == ("x86_64 read(): the kernel",)


def test_a_filter_of_32_bit_words() -> None:
    """libseccomp compares lower halves on x32, whose registers have 64 bits, and on i386."""
    mine = of_text()
    assert said(mine, "socket", 1 << 32 | 1) == "ALLOW"
    assert said(mine, "socket", 1 << 32 | 1, abi="x32") == "ERRNO(1 EPERM)"
    assert said(mine, "socket", 41, abi="x32") == "ALLOW"


def test_what_docker_gives_to_its_runtime() -> None:
    """Entries that do not apply are left out, architectures named, errnos given as numbers."""
    text = profile(
        {"names": ["read"], "action": PERMITTED},
        {"names": ["bpf"], "action": PERMITTED, "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EIO"},
        defaultErrno="ENOSYS",
        **ALL_ABIS,
    )
    found = json.loads(resolved(text, "p.json"))
    assert (found["defaultAction"], found["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    assert found["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert [(each["names"], each.get("errnoRet")) for each in found["syscalls"]] == [
        (["read"], None),
        (["kill"], 5),
    ]


def test_a_running_process(tmp_path: Path) -> None:
    """`--runtime pid:N` needs no runtime; a process without a filter is one error."""
    path = tmp_path / "p.yaml"
    path.write_text("default: permit\nrules: []\n")
    done = CliRunner().invoke(cli, ["audit", "--runtime", f"pid:{2**22 + 1}", str(path)])
    assert (done.exit_code, "no such process" in done.output) == (2, True)
    assert read_operand(str(path)).programs

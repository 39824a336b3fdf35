"""Policies in the languages of others: what is written is read back, and answers alike."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from enforcer.arch import native
from enforcer.call import Call
from enforcer.cbpf.corpus import corpus
from enforcer.cbpf.instruction import Code, Instruction
from enforcer.cbpf.spec import SeccompData
from enforcer.exports.export import Target, export
from enforcer.filters.docker import read_docker
from enforcer.filters.kafel import read_kafel
from enforcer.filters.meaning import abi_of, answer_of, compared
from enforcer.filters.minijail import read_minijail
from enforcer.filters.model import Filter
from enforcer.filters.operand import filter_of_policies, read_operand
from enforcer.filters.raw import of_programs, read_raw
from enforcer.filters.systemd import read_systemd
from enforcer.mechanisms.seccomp import final_answer
from enforcer.policy.decide import decide
from enforcer.policy.load import prepared
from enforcer.policy.parser import parse_yaml
from enforcer.policy.problem import PolicyError
from enforcer.syscalls import name
from harness.places import isolation
from tests.filters.filters import said

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the tables below are those of x86_64"
)
POLICY = """\
default: deny[eperm]
rules:
  - permit: [read, write, exit_group]
  - permit: close
    when: arg[0] > 2 and arg[0] < 100
  - permit: dup
    when: arg[0] & 0xf0 == 0x10 or arg[0] == 7
  - deny[enosys]: clone3
  - kill: ptrace
"""


def mine(text: str = POLICY) -> Filter:
    return filter_of_policies(prepared((parse_yaml(text, "p.yaml"),)), "p.yaml")


def differing(left: Filter, right: Filter) -> set[str]:
    """Calls of the native ABI that are answered differently."""
    return {
        call
        for each in compared(left, right).differences
        if each.abi == "x86_64"
        for call in each.calls
        if not call.startswith("call ")
    }


def test_a_compiled_policy_answers_as_decide_does() -> None:
    """On every call, and those on the boundaries of its rules; on each ABI that is not killed."""
    policy = prepared((parse_yaml(POLICY, "p.yaml"),))[0]
    found = read_raw(export(mine(), Target.BPF).content, "x.bpf")
    spec = mine().spec
    assert spec is not None
    judged = 0
    for data in corpus(spec):
        called = _call(data)
        if called is not None:
            assert answer_of(found, data) == final_answer(decide(policy, called)), called
            judged += 1
    assert judged > 300


def _call(data: SeccompData) -> Call | None:
    abi = abi_of(data)
    known = name(abi.name, data.nr) if abi is not None else None
    if abi is None or known is None or abi.name != "x86_64":
        return None
    return Call(name=known, abi=abi.name, args=data.args)


def test_docker() -> None:
    """A profile of it answers as the policy; what has an order is said."""
    made = export(mine(), Target.DOCKER)
    back = read_docker(made.content.decode(), "x.json")
    assert differing(mine(), back) == {"close"}
    assert any(line.startswith("close: ") for line in made.lost)
    assert said(back, "dup", 0x15) == said(back, "dup", 7) == "ALLOW"
    assert said(back, "close", 50) == "ERRNO(1 EPERM)"


def test_what_docker_cannot_say_is_refused() -> None:
    """Under a default that permits, a call whose rules are lost is refused whole."""
    text = "default: permit\nrules:\n  - deny[eperm]: close\n    when: arg[0] > 2 and arg[0] < 9\n"
    back = read_docker(export(mine(text), Target.DOCKER).content.decode(), "x.json")
    assert said(back, "close", 1) == said(back, "close", 5) == "ERRNO(1 EPERM)"
    assert said(back, "read") == "ALLOW"


def test_minijail() -> None:
    """What minijail can say is answered alike; a mask with a value is lost, and refused."""
    killing = mine(POLICY.replace("deny[eperm]", "kill"))
    made = export(killing, Target.MINIJAIL)
    back = read_minijail(made.content.decode(), "x.policy")
    assert differing(killing, back) == {"dup"}
    assert said(back, "close", 50) == "ALLOW"
    assert any(line.startswith("dup: ") for line in made.lost)


def test_minijail_has_no_default_with_an_errno() -> None:
    """It becomes a kill, which is said."""
    made = export(mine(), Target.MINIJAIL)
    assert made.content.startswith(b"@default kill-process\n")
    assert any(line.startswith("default: ") for line in made.lost)


@pytest.mark.parametrize("default", ["deny[eperm]", "permit"])
def test_systemd(default: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls by name are answered alike, those that hang on registers refused, which is said."""
    monkeypatch.setattr("enforcer.filters.systemd.call_sets", lambda: {"@default": ()})
    text = POLICY.replace("deny[eperm]", default)
    made = export(mine(text), Target.SYSTEMD)
    back = read_systemd(made.content.decode(), "x.service")
    wrong = differing(mine(text), back)
    assert wrong == ({"close", "dup"} if default != "permit" else set())
    assert said(back, "ptrace") == "KILL_PROCESS"
    assert said(back, "clone3") == "ERRNO(38 ENOSYS)"
    assert len([line for line in made.lost if "depends on registers" in line]) == len(wrong)


def test_firejail() -> None:
    """Both of its lists."""
    kept = export(mine(), Target.FIREJAIL)
    assert kept.content == b"seccomp.keep exit_group,read,write\nseccomp.block-secondary\n"
    dropped = export(mine(POLICY.replace("deny[eperm]", "permit")), Target.FIREJAIL)
    words = dropped.content.decode().split()
    assert words[0] == "seccomp.drop"
    carriers = {f"io_uring_{each}:ENOSYS" for each in ("enter", "register", "setup")}
    assert {*words[1].split(",")} == {"clone3:ENOSYS", "ptrace:kill", *carriers}
    assert "ptrace: KILL_PROCESS becomes KILL_THREAD" in dropped.lost


def test_what_registers_do_not_say_is_lost(tmp_path: Path) -> None:
    """A rule on names is told on the standard error, with its line."""
    path = tmp_path / "p.yaml"
    path.write_text(
        'default: permit\nrules:\n  - deny[eperm]: fsread\n    when: filename eq "/x"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "enforcer", "export", str(path), "--to", "bpf"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert f"lost: {path}:3: none, denies too much: reads memory: filename" in done.stderr.decode()
    assert len(done.stdout) % 8 == 0


def test_a_program_is_written_by_name_too() -> None:
    """Its ways become rules: what a format can say of them answers alike."""
    compiled = read_raw(export(mine(), Target.BPF).content, "x.bpf")
    made = export(compiled, Target.DOCKER)
    back = read_docker(made.content.decode(), "x.json")
    assert differing(mine(), back) == {"close", "dup"}
    assert {line.partition(":")[0] for line in made.lost} >= {"close", "dup"}
    computed = of_programs(((Instruction(Code.LD, 16), Instruction(Code.RET_A, 0)),), "y.bpf")
    with pytest.raises(PolicyError, match="cannot be put into rules"):
        export(computed, Target.DOCKER)


def no_bwrap() -> str:
    """Why it cannot run here: it is not installed, or the kernel permits no namespaces."""
    if shutil.which("bwrap") is None:
        return "not installed"
    return "no namespaces" if isolation.available() is isolation.Isolation.PLAIN else ""


def test_bwrap_loads_it(tmp_path: Path) -> None:
    """`bwrap --seccomp` takes the file, and the kernel answers by it."""
    path = tmp_path / "p.yaml"
    path.write_text("default: permit\nrules:\n  - deny[enosys]: [mkdir, mkdirat]\n")
    compiled = tmp_path / "p.bpf"
    compiled.write_bytes(export(read_operand(str(path)), Target.BWRAP).content)
    if reason := no_bwrap():
        pytest.skip(f"bwrap: {reason}")
    box = ["bwrap", "--bind", "/", "/", "--dev", "/dev"]
    with compiled.open("rb") as file:
        done = subprocess.run(
            [*box, "--seccomp", str(file.fileno()), "mkdir", str(tmp_path / "new")],
            pass_fds=(file.fileno(),),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "LC_ALL": "C"},
        )
    assert "Function not implemented" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_number_without_a_name_is_lost() -> None:
    """kafel's SYSCALL[N] that no call has is told where calls go by name."""
    text = read_kafel("ALLOW { SYSCALL[0x7777], read } DEFAULT KILL", "x.kafel")
    assert any(each.startswith("call 0x7777: ") for each in export(text, Target.DOCKER).lost)
    assert export(text, Target.BPF).lost == ()


def test_systemd_counts_an_errno_behind_a_tilde_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an allow list the call is taken out with it; elsewhere systemd would leave it out."""
    monkeypatch.setattr("enforcer.filters.systemd.call_sets", lambda: {"@default": ()})
    made = export(mine(), Target.SYSTEMD)
    lines = made.content.decode().splitlines()
    assert "SystemCallFilter=exit_group read write" in lines
    assert any(line.startswith("SystemCallFilter=~clone3:ENOSYS ") for line in lines)
    back = read_systemd(made.content.decode(), "x.service")
    assert (said(back, "clone3"), back.notes) == ("ERRNO(38 ENOSYS)", ())

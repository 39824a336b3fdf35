"""Chromium's own sandbox: which process is which, and what is not as documented."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from enforcer.arch import native
from enforcer.cbpf.instruction import Code, Instruction
from enforcer.cbpf.spec import ALLOW, ERRNO, TRAP
from enforcer.filters.raw import of_programs
from enforcer.policy.problem import PolicyError, Problem
from harness.cli import cli
from harness.runtimes import chromium

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the calls below are those of x86_64"
)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("/usr/lib/chromium\0--headless=new\0", ""),
        ("/usr/lib/chromium\0--type=gpu-process\0--x", "gpu-process"),
        ("/usr/lib/chromium --type=renderer --lang=en --seed", "renderer"),
        ("c\0--type=utility\0--utility-sub-type=a.StorageService", "utility a.StorageService"),
    ],
)
def test_kinds(line: str, kind: str) -> None:
    """By its command line, also one that the process wrote anew."""
    assert chromium.kind_of(line) == kind


@pytest.mark.parametrize(
    ("answer", "permitted"), [(ALLOW, chromium.WITHHELD), (TRAP, ()), (ERRNO(1), ())]
)
def test_what_a_renderer_may(answer: int, permitted: tuple[str, ...]) -> None:
    """Any answer but ALLOW and LOG withholds a call: Chromium traps what a broker does for it."""
    found = of_programs(((Instruction(Code.RET, answer),),), "renderer")
    assert tuple(chromium.permitted(found)) == permitted


def test_a_process_without_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not as documented where its type is to have one, and of others nothing is said."""

    def bare(pid: int) -> object:
        raise PolicyError([Problem(source="x", line=1, column=1, message="no filter")])

    monkeypatch.setattr(chromium, "read_process", bare)
    kinds = {1: "renderer", 2: "zygote", 3: "gpu-process", 4: "utility a.B"}
    monkeypatch.setattr(chromium, "_awaited", lambda root, pause: kinds)
    monkeypatch.setattr(chromium, "_command", lambda home: ("true",))
    found = {each.kind for each in chromium.members() if each.apart}
    assert found == {"renderer", "gpu-process"}


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no POLICY, which every other runtime does; one that is not there is told."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(chromium, "missing", lambda: "chromium not found: apt install chromium")
    done = CliRunner().invoke(cli, ["audit", "--runtime", "chromium"])
    assert (done.exit_code, "apt install chromium" in done.output) == (3, True)
    done = CliRunner().invoke(cli, ["audit", "--runtime", "crun"])
    assert (done.exit_code, "--runtime crun takes a POLICY" in done.output) == (2, True)
    done = CliRunner().invoke(cli, ["audit"])
    assert (done.exit_code, "Missing argument 'POLICY'" in done.output) == (2, True)

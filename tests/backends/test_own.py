"""An enforcer of the user's on one of our mechanisms, as `harness new backend` writes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import process, tree
from harness.backends import backend
from harness.cli import cli

NAMES = 'default: permit\nrules:\n  - deny: fsread\n    when: filename match "/nowhere/*"\n'
REGISTERS = "default: permit\nrules: []\n"
LAUNCH = """
import sys
from enforcer.arch import native
from enforcer.events import NullLog
from enforcer.policy.parser import parse_yaml
from harness.backends import backend

own = backend(sys.argv[1])
plan = own.compile([parse_yaml(sys.argv[2], "x")], native().abis)
own.launch(plan, sys.argv[3:], NullLog())
"""
RENAME = "import socket; socket.sethostname(socket.gethostname())"


@pytest.mark.parametrize(
    ("mechanism", "policy", "command"),
    [
        ("ptrace", NAMES, ["cat", "plain", "a.key"]),
        ("notify", NAMES, ["cat", "plain", "a.key"]),
        ("seccomp", REGISTERS, [sys.executable, "-c", f"print('permitted'); {RENAME}"]),
    ],
)
def test_what_is_written_enforces(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mechanism: str,
    policy: str,
    command: list[str],
) -> None:
    """It permits what the policy permits, and refuses what the policy does not know of."""
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(cli, ["new", "backend", "mine", "--mechanism", mechanism])
    assert said.exit_code == 0, said.output
    own = backend(str(tmp_path / "mine.py"))
    assert (own.name, own.mechanism, own.leaky) == ("mine", mechanism, False)
    for name in ("plain", "a.key"):
        Path(name).write_text("permitted\n")
    words = [sys.executable, "-c", LAUNCH, str(tmp_path / "mine.py"), policy, *command]
    monkeypatch.setenv("PYTHONPATH", str(tree.OWN))
    ran = process.run(words, timeout_s=60.0, cwd=tmp_path)
    assert ran.stdout == "permitted\n"
    assert "Permission denied" in ran.stderr
    assert ran.status == 1


def test_one_kind_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A description is no module."""
    monkeypatch.chdir(tmp_path)
    words = ["new", "backend", "mine", "--mechanism", "ptrace", "--external"]
    said = CliRunner().invoke(cli, words)
    assert said.exit_code == 2
    assert "take one" in said.output
    assert list(tmp_path.iterdir()) == []

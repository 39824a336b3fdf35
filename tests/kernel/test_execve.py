"""An execve told by its pointers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enforcer.kernel.execve import PreparedExecve, find_command


def test_commands_are_found_as_execvp_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a slash as given, else in PATH alone."""
    program = tmp_path / "a-command-of-ours"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert find_command("./anything") == "./anything"
    with pytest.raises(FileNotFoundError):
        find_command("a-command-of-ours")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_command("a-command-of-ours") == str(program)


def test_pointers_are_drawn_anew() -> None:
    """Two of the same command share no register, and none is null."""
    one, two = (PreparedExecve("/bin/true", ["true"], ["A=b"]) for _ in range(2))
    assert len({*one.registers, *two.registers}) == 6
    assert all(one.registers)


def test_execve_hands_arguments_and_environment_over(tmp_path: Path) -> None:
    """As execve(2) does."""
    output = tmp_path / "output"
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
            raise PreparedExecve(
                "/bin/sh", ["sh", "-c", 'echo "$0 $1 $KEY"', "zero", "one"], ["KEY=value"]
            ).execute()
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert output.read_text() == "zero one value\n"


def test_failure_is_returned() -> None:
    """The error of an execve that could not be made."""
    error = PreparedExecve("/nonexistent/command", ["x"], []).execute()
    assert isinstance(error, FileNotFoundError)

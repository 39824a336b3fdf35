"""Calls that the tracer has a task make are the calls that are made, or the sandbox ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer.arch import native
from tests.mechanisms.sandbox import program, run

_TRIES = 20
_POLICY = """
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename sub "second"
"""


@pytest.mark.skipif(native().abis[0].name != "x86_64", reason="the program is x86-64 code")
def test_an_instruction_that_a_peer_replaces_opens_nothing(tmp_path: Path) -> None:
    """The denied file is never open; where the peer was in time the log names the call."""
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)
    command: list[str | Path] = [program("jumps"), tmp_path / "first", tmp_path / "second"]
    detected = 0
    for _ in range(_TRIES):
        ran = run("ptrace", _POLICY, command, tmp_path)
        assert "second" not in ran.stdout
        found = [event for event in ran.events if event["event"] == "detection"]
        if found:
            assert (found[0]["reason"], found[0]["call"], ran.status) == (
                "another call than the one injected",
                "openat",
                -9,
            )
            detected += 1
            break
    assert detected, f"the peer was never in time, in {_TRIES} attempts"

"""Processes beside a target."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from enforcer.kernel import namespaces
from harness.places import helpers
from harness.places.helpers import Helper, sleep_on
from harness.places.isolation import Identity

SELF = Identity(uid=os.getuid(), gid=os.getgid())


def test_a_helper_is_ready_once_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last preparation is over, however long that took."""
    done = tmp_path / "done"
    monkeypatch.setattr(
        helpers, "die_with_parent", lambda: subprocess.run(["touch", str(done)], check=True)
    )
    helper = Helper(SELF, sleep_on)
    try:
        assert done.exists()
    finally:
        helper.end()


def test_a_helper_that_ends_before_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With what it failed by on standard error."""

    def fail() -> None:
        raise OSError("not today")

    monkeypatch.setattr(namespaces, "set_dumpable", fail)
    with pytest.raises(ChildProcessError, match="before it was ready"):
        Helper(SELF, sleep_on)
    assert "not today" in capfd.readouterr().err

"""`harness vm install`: one command from a machine without QEMU to one with it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import cli
from harness.cli import vm as command
from harness.vm.archive import ArchiveError

ASKED = ["apt-get", "install", "--yes", "--no-install-recommends", "qemu-system-arm"]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been run, on a machine that has everything but QEMU."""
    found = list[list[str]]()
    monkeypatch.setattr(command, "run_tool", found.append)
    monkeypatch.setattr(command, "KEYRING", Path("/"))
    has = shutil.which
    monkeypatch.setattr(
        shutil,
        "which",
        lambda name: None if name.startswith("qemu-") else has(name) or f"/bin/{name}",
    )
    return found


def install(*words: str) -> Result:
    return CliRunner().invoke(cli, ["vm", "install", *words])


def test_root_installs(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the named machine needs, and no other's."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    said = install("-a", "arm")
    assert (said.exit_code, ran) == (0, [["apt-get", "update"], ASKED])
    ran.clear()
    assert install().exit_code == 0
    assert {"qemu-system-arm", "qemu-system-x86", "qemu-system-misc"} <= set(ran[1])


def test_others_are_told_what_to_type(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is run."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = install("-a", "arm")
    assert (said.exit_code, ran) == (3, [])
    assert f"type: sudo {' '.join(ASKED)}" in said.output


def test_what_fails_is_told(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line of the tool's own, and status 3."""

    def fails(words: list[str]) -> str:
        raise ArchiveError("no network")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(command, "run_tool", fails)
    said = install()
    assert (said.exit_code, said.output.splitlines()[-1]) == (3, "Error: no network")


def test_nothing_is_lacking(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is run, as root or not."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert (install().output, ran) == ("everything is there\n", [])

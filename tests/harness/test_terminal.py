"""What a person sees: every command in a real terminal of 80 columns, and through a pipe in it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path

import pytest

from harness import tree
from harness.process import fork, wait
from harness.results import Store, default_path
from tests.harness.test_results import ORIGIN, ROWS

COLUMNS = 80
NAME = "replication/a-name-that-is-never-cut"
WIDE = re.compile(r"\S{60,}")
"""A word with no room beside others (a case's id, a path) may stand alone on a longer line."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\].*?\x07")


def seen(command: str) -> list[str]:
    """The lines that a shell's command writes to a terminal, with carriage returns carried out."""
    control, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(tree.OWN)}
    environment.pop("COLUMNS", None)

    def body() -> int:
        os.close(control)
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        for number in range(3):
            os.dup2(terminal, number)
        os.chdir(tree.OWN)
        os.execve("/bin/sh", ["sh", "-c", command], environment)

    child = fork(body)
    os.close(terminal)
    written = b""
    # A terminal whose last user is gone gives EIO (tty(4), n_tty_read).
    while data := _read(control):
        written += data
    wait(child)
    os.close(control)
    text = _ESCAPES.sub("", written.decode())
    return [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command, with results of a whole matrix in its state directory."""
    state = tmp_path_factory.mktemp("state")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_STATE_HOME", str(state))
    store = Store(default_path())
    campaign = store.begin(["run"], len(ROWS), ORIGIN)
    for row in ROWS:
        for number in range(3):
            changed = {"attack": NAME, "case_id": f"{row.case_id}{number}", "variant": str(number)}
            store.add(campaign.id, type(row)(**{**vars(row), **changed}))
    store.finish(campaign.id)
    store.close()
    patch.undo()
    return f"XDG_STATE_HOME={state} {sys.executable} -m harness"


COMMANDS = (
    "report",
    "report --list",
    "explain race/path-race",
    "explain B10",
    "explain benign/make",
    "doctor",
    "list",
    "list backends",
    "list --catalogue",
    "run -k no-such-case",
    "--help",
    "run --help",
    "report --help",
)


@pytest.mark.parametrize("piped", [False, True], ids=["terminal", "pipe"])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_wider_than_the_terminal(harness: str, command: str, *, piped: bool) -> None:
    """In the terminal itself, and in a pager."""
    lines = seen(f"{harness} {command}" + (" 2>&1 | cat" if piped else ""))
    assert len(lines) > 1
    lines = _without_policy(lines)
    assert [each for each in lines if len(each) > COLUMNS and not WIDE.search(each)] == []
    assert not any("\N{HORIZONTAL ELLIPSIS}" in each for each in lines)


def _without_policy(lines: list[str]) -> list[str]:
    """A policy is quoted as its author wrote it."""
    if "Policy:" not in lines:
        return lines
    start = lines.index("Policy:")
    return lines[:start] + lines[lines.index("", start) :]


def test_the_matrix(harness: str) -> None:
    """Whole names, every backend, and the summary."""
    text = "\n".join(seen(f"{harness} report"))
    assert text.startswith(f"{NAME}  A1 A2\n    ptrace held x3 <0.16%")
    for part in ("notify BYPASSED x3 21/6000 !", "leaky BYPASSED x3", "12 cases: 6 as expected"):
        assert part in text


def test_progress(harness: str, tmp_path: Path) -> None:
    """A bar while cases run, gone at the end; the matrix stays."""
    lines = tmp_path / "lines"
    shown = seen(f"{harness} run -b seccomp -k upper-bits[ --json {lines}")
    assert any(each.startswith("abi/upper-bits") for each in shown)
    assert "2 cases: 2 as expected" in "\n".join(shown)
    assert len(lines.read_text().splitlines()) == 2

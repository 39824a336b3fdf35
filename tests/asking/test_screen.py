"""The console as it is seen in a terminal of 80 columns."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enforcer.asking.supervisors import sockets
from enforcer.supervision.peers import socket_directory
from harness import process
from tests.asking.people import running
from tests.asking.test_asking import LOOKS, has_console, policy

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux")


class Terminal:
    """A tmux of its own with one terminal of 80 columns and 24 lines."""

    def __init__(self, place: Path) -> None:
        self._tmux = ("tmux", "-f", "/dev/null", "-S", str(place / "tmux"))

    def tmux(self, *words: str) -> str:
        return process.run([*self._tmux, *words]).stdout

    def shown(self) -> str:
        return self.tmux("capture-pane", "-p")


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    place = tmp_path / "run"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    (tmp_path / "a").write_text("a")
    made = Terminal(tmp_path)
    yield made
    made.tmux("kill-server")


@needs_tmux
@pytest.mark.parametrize("mode", [[], ["--lines"]], ids=["screen", "lines"])
def test_a_question_is_answered_on_a_terminal(
    mode: list[str], terminal: Terminal, tmp_path: Path
) -> None:
    """It is there whole within 80 columns; what is typed permits the call; quitting goes away."""
    script = "import os, sys\ninput()\n" + LOOKS
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    options: list[str | Path] = ["run", "-b", "notify", "--policy", policy(tmp_path)]
    console = shlex.join([sys.executable, "-m", "enforcer", "ask", *mode])
    with running([*options, "--", *command], gives=True) as target:
        (path,) = target.until(lambda: sockets(socket_directory()))
        terminal.tmux("new-session", "-d", "-x", "80", "-y", "24", console)
        target.until(lambda: has_console(path))
        target.type("\n")
        target.until(lambda: "every openat of this program" in terminal.shown())
        seen = terminal.shown()
        assert max(map(len, seen.splitlines())) <= 80
        joined = seen.replace("\n", "")
        for words in (f"filename: {tmp_path}/a", "oflags: ro", "(rule 1)", "1) this file alone"):
            assert words in joined, seen
        terminal.tmux("send-keys", "permit", "Enter")
        assert target.line() == "opened\n"
        assert target.wait() == 0
        terminal.tmux("send-keys", "C-c", "")
        target.until(lambda: not terminal.tmux("list-sessions"))

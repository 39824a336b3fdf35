"""What a person sees: every command in a real terminal of 80 columns, and through a pipe in it."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import pytest

from harness import tree
from harness.results import Store, default_path
from tests.harness.test_results import ORIGIN, ROWS

COLUMNS = 80
LINES = 2000
"""So high that nothing scrolls off the screen."""
LONGEST = 120.0
"""Seconds after which a command that shows nothing more has failed."""
ENDED = "-- exit status "
NAME = "replication/a-name-that-is-never-cut"
WIDE = re.compile(r"\S{60,}")
"""A word with no room beside others (a case's id, a path) may stand alone on a longer line."""


def until(stream: FileIO, wanted: str) -> re.Match[str]:
    """Reads until a pattern is seen, whose match it gives; its string is all that was read."""
    text = ""
    while not (found := re.search(wanted, text)):
        assert select.select([stream], [], [], LONGEST)[0], f"{wanted!r} was not drawn: {text!r}"
        text += os.read(stream.fileno(), 1 << 16).decode(errors="replace")
        assert ENDED not in text or re.search(wanted, text), f"ended before {wanted!r}: {text!r}"
    return found


class Terminal:
    """A terminal of 80 columns, without anybody before it: a server of tmux(1) with one pane.

    What a command shows is what is left on the screen: carriage returns, erased bars and lines that
    were too wide and wrapped are the terminal's work, not this test's.
    """

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "tmux"
        self._directory = directory
        self._number = 0
        self._tmux("start-server", ";", "set-option", "-s", "exit-empty", "off")

    def _tmux(self, *words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tree.OWN)}
        environment.pop("COLUMNS", None)
        # Of the user's own tmux nothing is asked, neither its server nor its configuration.
        environment.pop("TMUX", None)
        done = subprocess.run(
            ["tmux", "-u", "-S", self._socket, "-f", os.devnull, *words],
            env=environment,
            cwd=tree.OWN,
            check=True,
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
        return done.stdout

    def run(self, command: str, press: tuple[str, str] | None = None) -> Shown:
        """Runs a shell's command; `press`: a text, and the key that is pressed once it is drawn."""
        self._number += 1
        name = f"pane-{self._number}"
        raw = self._directory / name
        # `wait-for` remembers a signal that nobody waits for yet, so neither misses the other. The
        # shell catches what Ctrl-C sends to all of the terminal, so that it can tell the status;
        # what it starts gets the default action back (POSIX, 2.12).
        go = shlex.join(["tmux", "-S", str(self._socket), "wait-for", f"{name}-go"])
        body = f"trap : INT; {go}; {command}\nprintf '\\n{ENDED}%s.' $?; exec cat"
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        self._tmux("new-session", "-d", "-s", name, *size, "--", "sh", "-c", body)
        os.mkfifo(raw)
        self._tmux("pipe-pane", "-t", name, "-O", f"exec cat > {shlex.quote(str(raw))}")
        with raw.open("rb", buffering=0) as stream:
            self._tmux("wait-for", "-S", f"{name}-go")
            if press:
                until(stream, press[0])
                self._tmux("send-keys", "-t", name, press[1])
            drawn = until(stream, ENDED + r"(\d+)\.")
            # What went into the pipe is on the screen too: the server does both at once. Joined
            # (-J), a line that the terminal had to wrap is as long as it was written.
            screen = self._tmux("capture-pane", "-p", "-J", "-t", name)
            self._tmux("kill-session", "-t", name)
        lines = [line.rstrip() for line in screen.partition(ENDED)[0].rstrip().split("\n")]
        return Shown(lines, drawn.string, int(drawn[1]))

    def close(self) -> None:
        self._tmux("kill-server")


@dataclass(frozen=True)
class Shown:
    """What was left on the screen, all that was written to it, and the exit status."""

    lines: list[str]
    drawn: str
    status: int


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    if not shutil.which("tmux"):
        pytest.skip("no tmux")
    made = Terminal(tmp_path_factory.mktemp("t"))
    yield made
    made.close()


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
def test_nothing_is_wider_than_the_terminal(
    terminal: Terminal, harness: str, command: str, *, piped: bool
) -> None:
    """In the terminal itself, and in a pager."""
    lines = terminal.run(f"{harness} {command}" + (" 2>&1 | cat" if piped else "")).lines
    assert any(lines)
    lines = _without_policy(lines)
    assert [each for each in lines if len(each) > COLUMNS and not WIDE.search(each)] == []
    assert not any("\N{HORIZONTAL ELLIPSIS}" in each for each in lines)


def _without_policy(lines: list[str]) -> list[str]:
    """A policy is quoted as its author wrote it."""
    if "Policy:" not in lines:
        return lines
    start = lines.index("Policy:")
    return lines[:start] + lines[lines.index("", start) :]


def test_the_matrix(terminal: Terminal, harness: str) -> None:
    """Whole names, every backend, and the summary."""
    text = "\n".join(terminal.run(f"{harness} report").lines)
    assert text.startswith(f"{NAME}  A1 A2\n    ptrace held x3 <0.16%")
    for part in ("notify BYPASSED x3 21/6000 !", "leaky BYPASSED x3", "12 cases: 6 as expected"):
        assert part in text


def test_progress(terminal: Terminal, harness: str, tmp_path: Path) -> None:
    """A bar while cases run, gone at the end; the matrix stays."""
    lines = tmp_path / "lines"
    shown = terminal.run(f"{harness} run -b seccomp -k upper-bits[ --json {lines}")
    assert "0/2" in shown.drawn
    assert not any("0/2" in each for each in shown.lines)
    assert any(each.startswith("abi/upper-bits") for each in shown.lines)
    assert "2 cases: 2 as expected" in "\n".join(shown.lines)
    assert len(lines.read_text().splitlines()) == 2
    assert shown.status == 0


@pytest.mark.parametrize("command", ["run -b seccomp -k upper-bits[", "fuzz compiler --time 1h"])
def test_interrupted(terminal: Terminal, harness: str, command: str) -> None:
    """Ctrl-C: what there is is shown, nothing of Python's, and 130."""
    shown = terminal.run(f"{harness} {command}", press=(r"\S", "C-c"))
    assert shown.status == 130
    assert "Traceback" not in shown.drawn

"""`enforcer alarms --follow`: each alarm as it comes, also from a log that was begun anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from enforcer.logs.line import systrace_line
from tests.logs.test_logs import EVENT

LINE = systrace_line(EVENT)


@contextmanager
def following(*words: str | Path) -> Iterator[Iterator[str]]:
    """What the command says, a line at a time, as long as it runs."""
    command = [sys.executable, "-m", "enforcer", "alarms", "--follow", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout.readline, "")
        finally:
            process.kill()


def _append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_what_is_there_comes_first_and_then_what_comes(tmp_path: Path) -> None:
    """Of several logs; a line counts when it is whole, and what is no alarm is passed over."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text(f"{LINE}\n{LINE}\n")
    other.write_text("")
    with following(one, other) as lines:
        assert next(lines).split()[:2] == ["2", "/usr/bin/cat"]
        _append(other, f"sshd[4]: nothing\n{LINE[:20]}")
        _append(other, f"{LINE[20:]}\n")
        assert next(lines).split()[:2] == ["1", "/usr/bin/cat"]
        _append(one, json.dumps({"event": "decision", **EVENT, "call": "unlinkat"}) + "\n")
        assert "unlinkat /etc/shadow\n" in next(lines)


@pytest.mark.parametrize("how", ["put away", "emptied"])
def test_a_log_that_is_begun_anew_is_followed(tmp_path: Path, how: str) -> None:
    """As logrotate does it, by another file or by copytruncate."""
    log = tmp_path / "log"
    log.write_text(f"{LINE}\n{LINE}\n")
    with following("--json", log) as lines:
        assert json.loads(next(lines))["count"] == 2
        if how == "put away":
            log.rename(tmp_path / "log.1")
        log.write_text(f"{LINE}\n")
        assert json.loads(next(lines))["call"] == "openat"

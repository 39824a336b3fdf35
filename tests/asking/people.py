"""Commands that somebody types to while they run."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from harness import process

T = TypeVar("T")
_LIMIT_S = 30.0
_ENFORCER = (sys.executable, "-m", "enforcer")


def ask(options: Sequence[str | Path], typed: str) -> process.Completed:
    """`enforcer ask` with all answers in a pipe beforehand."""
    return process.run([*_ENFORCER, "ask", *options], stdin=typed)


class Running:
    """A started command; whatever is waited for comes within a limit."""

    def __init__(self, words: Sequence[str | Path], *, gives: bool, by: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [*by, *_ENFORCER, *map(str, words)],
            stdin=subprocess.PIPE if gives else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._read = {1: b"", 2: b""}

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def line(self) -> str:
        """The next line of its output."""
        self._more(1, lambda: b"\n" in self._read[1])
        line, end, self._read[1] = self._read[1].partition(b"\n")
        return (line + end).decode()

    def line_with(self, text: str) -> str:
        """The next line of its output with a text in it."""
        while text not in (line := self.line()):
            assert line, f"{text} never came"
        return line

    def error_until(self, text: str) -> None:
        """Read what it says besides, up to a text."""
        self._more(2, lambda: text.encode() in self._read[2])
        assert text.encode() in self._read[2], self._read[2]

    def read(self) -> str:
        """All of its output."""
        self._more(1, lambda: False)
        return self._read[1].decode()

    def errors(self) -> str:
        """All that it says besides."""
        self._more(2, lambda: False)
        return self._read[2].decode()

    def wait(self) -> int:
        return self._process.wait(_LIMIT_S)

    def until(self, look: Callable[[], T]) -> T:
        """What `look` gives once that is something."""
        end = time.monotonic() + _LIMIT_S
        while not (found := look()):
            assert time.monotonic() < end, "it never came"
            select.select([], [], [], 0.02)
        return found

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def _more(self, which: int, is_enough: Callable[[], bool]) -> None:
        stream = self._process.stdout if which == 1 else self._process.stderr
        assert stream is not None
        while not is_enough():
            ready, _, _ = select.select([stream], [], [], _LIMIT_S)
            data = os.read(stream.fileno(), 65536) if ready else b""
            if not data:
                return
            self._read[which] += data


@contextmanager
def running(
    words: Sequence[str | Path], *, gives: bool = False, by: Sequence[str] = ()
) -> Iterator[Running]:
    """A command that is killed where it has not ended by then. `gives`: it can be typed to.

    `by`: what starts it.
    """
    started = Running(words, gives=gives, by=by)
    try:
        yield started
    finally:
        started.end()

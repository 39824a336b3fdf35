"""A console of lines, for pipes and plain terminals: a question is written, an answer is read."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import TextIO

from enforcer.asking.console import QUIT, Console, Question
from enforcer.asking.supervisors import Supervisor

_TICK_S = 0.1


class Lines:
    """Answers are read from descriptor `source`, one line a question; the rest goes to `sink`."""

    def __init__(self, console: Console, source: int, sink: TextIO) -> None:
        self._console = console
        self._source = source
        self._sink = sink
        self._read = bytearray()
        self._is_over = False
        self._shown: Question | None = None

    def serve(self, goes_on: Callable[[], bool]) -> None:
        """Return when `goes_on` says no more, or the person went away; that denies."""
        console = self._console
        while goes_on() and not self._is_over:
            console.scan()
            self._show()
            while console.questions and (line := self._line()) is not None:
                self._obey(line)
                self._show()
            waited: list[Supervisor | int] = list(console.supervisors.values())
            if console.questions or os.isatty(self._source):
                waited.append(self._source)
            ready, _, _ = select.select(waited, [], [], _TICK_S)
            for supervisor in list(console.supervisors.values()):
                if supervisor in ready:
                    console.receive(supervisor)
            if self._source in ready:
                self._more()
        self._show()

    def _more(self) -> None:
        data = os.read(self._source, 4096)
        self._read += data
        if not data:
            self._is_over = True
            if self._console.questions:
                self._write("the answers have ended: denied")

    def _line(self) -> str | None:
        line, end, rest = bytes(self._read).partition(b"\n")
        if not end:
            return None
        self._read = bytearray(rest)
        return line.decode(errors="replace")

    def _obey(self, line: str) -> None:
        if line.strip() in QUIT:
            self._is_over = True
            self._console.questions.clear()
        elif line.strip():
            self._write(self._console.obey(line))
            questions = self._console.questions
            if questions and questions[0] is self._shown:
                self._prompt()

    def _show(self) -> None:
        console = self._console
        for notice in console.notices:
            self._write(notice)
        console.notices.clear()
        question = console.questions[0] if console.questions else None
        if question is not self._shown and question is not None:
            for line in question.lines():
                self._write(line)
            self._prompt()
        self._shown = question

    def _prompt(self) -> None:
        self._sink.write("answer (help lists them): ")
        self._sink.flush()

    def _write(self, text: str) -> None:
        self._sink.write(text + "\n")
        self._sink.flush()

"""Progress of a run: a bar with stages and remaining time on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness.results import Row
from harness.stages import Stage, listening

PLAIN_LINE_EVERY = 25


class Shown(Protocol):
    """What a run tells of itself. `address` is where workers tell their stages, empty: nowhere."""

    address: str

    def say(self, text: str) -> None:
        """A line that stays."""
        ...

    def preparing(self, what: str) -> None:
        """What is being made ready, empty when nothing is."""
        ...

    def expect(self, total: int) -> None:
        """So many cases are to be done."""
        ...

    def take(self, row: Row) -> None:
        """One more case is done."""
        ...


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Which cases are counted beside those that are done, and what they are called."""

    word: str
    holds_for: Callable[[Row], bool]


UNEXPECTED = Counted(word="unexpected", holds_for=lambda row: not row.as_expected)
"""Of scenarios, which say what is expected."""


@contextmanager
def progress(messages: Console, total: int, counted: Counted = UNEXPECTED) -> Iterator[Shown]:
    """Shows `total` cases, and how many of those done are `counted`, until the end of the block."""
    if not messages.is_terminal:
        yield Lines(messages, total, counted)
        return
    columns = (
        TextColumn("cases"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    with Progress(*columns, console=messages, transient=True) as bar:
        shown = Bar(bar, total, counted)
        with listening(shown.stages) as address:
            shown.address = address
            yield shown


class Lines:
    """For files and pipes: a line now and then."""

    address = ""

    def __init__(self, messages: Console, total: int, counted: Counted) -> None:
        self._messages = messages
        self._total = total
        self._counted = counted
        self._done = self._count = 0
        self._started: float | None = None

    def say(self, text: str) -> None:
        self._messages.print(text, highlight=False, markup=False)

    def preparing(self, what: str) -> None:
        if not what:
            self._started = time.monotonic()

    def expect(self, total: int) -> None:
        self._total = total

    def take(self, row: Row) -> None:
        self._done += 1
        self._count += self._counted.holds_for(row)
        if self._done % PLAIN_LINE_EVERY == 0 or self._done == self._total:
            counts = f"{self._done}/{self._total} cases, {self._count} {self._counted.word}"
            self.say(f"{counts}{self._left()}")

    def _left(self) -> str:
        if self._started is None or self._done == self._total:
            return ""
        each_s = (time.monotonic() - self._started) / self._done
        return f", about {(self._total - self._done) * each_s / 60:.0f} min left"


class Bar:
    """For terminals."""

    def __init__(self, bar: Progress, total: int, counted: Counted) -> None:
        self.address = ""
        self._bar = bar
        self._task = bar.add_task("cases", total=total, now="")
        self._counted = counted
        self._count = 0
        self._workers = self._preparing = ""

    def say(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False)

    def preparing(self, what: str) -> None:
        self._preparing = what
        self._draw()

    def expect(self, total: int) -> None:
        self._bar.update(self._task, total=total)

    def take(self, row: Row) -> None:
        self._count += self._counted.holds_for(row)
        self._bar.advance(self._task)
        self._draw()

    def stages(self, counts: Counter[Stage]) -> None:
        """How many workers are in each stage."""
        self._workers = ", ".join(f"{counts[stage]} {stage}" for stage in Stage if counts[stage])
        self._draw()

    def _draw(self) -> None:
        count = f"{self._count} {self._counted.word}" if self._count else ""
        now = ", ".join(part for part in (count, self._preparing or self._workers) if part)
        self._bar.update(self._task, now=now)

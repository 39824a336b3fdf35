"""Which widener won how often: the races of a report that were given more time, beside the plain.

Attempts and wins are those of the judged attack runs, of all ABIs and scenarios together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.catalogue import order
from harness.model import VerdictKind
from harness.odds import percent, win_rate_interval
from harness.results import Row
from harness.wideners import Widener, widener_of

PLAIN = "none"
_ORDER = (PLAIN, *Widener)


@dataclass(frozen=True, kw_only=True)
class Won:
    """A race with one widener, or none, under one backend. `said` is why it could not be tried."""

    attack: str
    widener: str
    backend: str
    attempts: int
    wins: int
    said: str = ""

    @property
    def result(self) -> str:
        """In one cell: wins of attempts and the 95 % interval of their rate."""
        if not self.attempts:
            return self.said or "no attempts"
        low, high = win_rate_interval(self.attempts, self.wins)
        if not self.wins:
            return f"0/{self.attempts:,}, < {percent(high)}"
        rate = f"{percent(low, upper=False)} to {percent(high)}"
        return f"{self.wins:,}/{self.attempts:,}, {rate}"


def widened(rows: Iterable[Row]) -> list[Won]:
    """By race, widener and backend; of races only that had some widener, the plain ones too."""
    every = [row for row in rows if row.attack]
    races = {row.attack for row in every if widener_of(row.variant)}
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in every:
        how = widener_of(row.variant)
        if row.attack in races and (how or "+" not in row.variant):
            found.setdefault((row.attack, how or PLAIN, row.backend), []).append(row)
    first = {row.attack: order(row.catalogue[0]) for row in every if row.catalogue}

    def place(won: Won) -> tuple[tuple[str, int], str, int, str]:
        return first.get(won.attack, ("", 0)), won.attack, _ORDER.index(won.widener), won.backend

    return sorted(map(_won, found.items()), key=place)


def _won(item: tuple[tuple[str, str, str], Sequence[Row]]) -> Won:
    (attack, widener, backend), rows = item
    absent = [row.reason for row in rows if row.verdict == VerdictKind.INAPPLICABLE]
    return Won(
        attack=attack,
        widener=widener,
        backend=backend,
        attempts=sum(row.attempts for row in rows),
        wins=sum(row.wins for row in rows),
        said=absent[0] if len(absent) == len(rows) else "",
    )

"""A leaky race that won few of its attempts goes on, and its rounds are counted together.

How often a race is won changes from one run to the next with what else the machine does, so that
one unlucky run says little about a backend. Pure; the runner carries the rounds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.model import Observation, RunKind

ENOUGH_WINS = 8
"""So many put the lower end of the interval of the win rate at half of what was seen."""


def next_round(observations: Sequence[Observation], most: int) -> int:
    """The attempts of one more round, as many as were made so far; 0 when none is wanted.

    That is when the race won enough, made `most` attempts, or did not end by itself.
    """
    race = _race(observations)
    if race is None or not race.finished or race.wins >= ENOUGH_WINS:
        return 0
    return max(0, min(race.attempts, most - race.attempts))


def pooled(
    earlier: Sequence[Observation], later: Sequence[Observation]
) -> tuple[Observation, ...] | None:
    """Two rounds as one, wins and attempts summed; None when the later did not end by itself."""
    first, second = _race(earlier), _race(later)
    if first is None or second is None or not second.finished:
        return None
    shown = first if first.effect else second
    luckier = max(first, second, key=lambda each: each.wins)
    together = replace(
        shown,
        rung=luckier.rung,
        attempts=first.attempts + second.attempts,
        wins=first.wins + second.wins,
        seconds=first.seconds + second.seconds,
    )
    return tuple(together if each is first else each for each in earlier)


def _race(observations: Sequence[Observation]) -> Observation | None:
    return next((each for each in observations if each.kind is RunKind.ATTACK), None)

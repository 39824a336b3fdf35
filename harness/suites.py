"""Suites: selections of `harness run` that ask one question of their own about the results.

`mutation` asks whether the attacks and the leaky backends are worth what verdicts rest on: each
attack must defeat a leaky backend, and each leaky backend must be defeated by an attack.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from harness.model import VerdictKind
from harness.results import Row

DEFEATED = frozenset({VerdictKind.BYPASSED, VerdictKind.UNLOGGED})
UNTRIED = frozenset({VerdictKind.INAPPLICABLE, VerdictKind.INEXPRESSIBLE})
"""What a machine, or its architecture, gives no occasion for."""


class Suite(StrEnum):
    """What `--suite` takes."""

    MUTATION = "mutation"


@dataclass(frozen=True, kw_only=True)
class Score:
    """What counts (attacks, and leaky backends), which of it failed, and what this machine cannot
    judge, which does not count.
    """

    counted: int
    idle_attacks: tuple[str, ...]
    standing_backends: tuple[str, ...]
    unjudged: tuple[str, ...]

    @property
    def is_full(self) -> bool:
        return self.counted > 0 and not (self.idle_attacks or self.standing_backends)

    def lines(self) -> list[str]:
        """For people, the sum first. Never rounded up to 100 %."""
        failed = len(self.idle_attacks) + len(self.standing_backends)
        share = 100 * (self.counted - failed) // self.counted if self.counted else 0
        said = [
            f"mutation score: {share} % ({self.counted - failed} of {self.counted} attacks and "
            "leaky backends)"
        ]
        said += [f"  {name} defeats no leaky backend" for name in self.idle_attacks]
        said += [f"  {name} is defeated by no attack" for name in self.standing_backends]
        if self.unjudged:
            said.append(f"  not judged here: {', '.join(self.unjudged)}")
        return said


def mutation_score(
    rows: Iterable[Row], attacks: Collection[str], backends: Collection[str]
) -> Score:
    """The score of these results, for the attacks and leaky backends that should be among them.

    One of whose cases none applies here does not count; one without any case has failed.
    """
    every = [row for row in rows if row.leaky and row.attack]
    judged = [row for row in every if row.verdict not in UNTRIED]
    won = [row for row in judged if row.verdict in DEFEATED]

    def parted(wanted: Collection[str], column: str) -> tuple[list[str], list[str]]:
        known, tried = ({getattr(row, column) for row in part} for part in (every, judged))
        winning = {getattr(row, column) for row in won}
        silent = sorted(set(wanted) & known - tried)
        return sorted(set(wanted) - winning - set(silent)), silent

    idle, absent = parted(attacks, "attack")
    standing, away = parted(backends, "backend")
    return Score(
        counted=len(set(attacks)) + len(set(backends)) - len(absent) - len(away),
        idle_attacks=tuple(idle),
        standing_backends=tuple(standing),
        unjudged=(*absent, *away),
    )

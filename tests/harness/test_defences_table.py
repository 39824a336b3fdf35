"""The tables of defences that are cited: rates, intervals, and no rate where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from enforcer.mechanisms.contract import DEFAULT_DEFENCES
from harness.defences import Line, Setting
from harness.model import Observation, Outcome, Result, RunKind, Verdict, VerdictKind
from harness.report.defences import defences_table
from tests.harness.test_defences import ATTACKS, found

ATTACK = Observation(kind=RunKind.ATTACK, outcome=Outcome.EFFECT, finished=True, seconds=3.0)
CASE = replace(found()[0], defences=DEFAULT_DEFENCES)


def result(kind: VerdictKind, attempts: int, wins: int, seen: Observation = ATTACK) -> Result:
    verdict = Verdict(kind=kind, reason="", attempts=attempts, wins=wins)
    return Result(case=CASE, verdict=verdict, observations=(seen,))


FELL, HELD = VerdictKind.BYPASSED, VerdictKind.HELD
ENDED = replace(ATTACK, finished=False)

CELLS: dict[str, tuple[Sequence[Result], str]] = {
    "nothing was run": ((), "·"),
    "a rate": ((result(FELL, 60, 3),), "3/60, 1.0% to 14%, 1 s"),
    "two variants together": (
        (result(FELL, 60, 3), result(HELD, 40, 0)),
        "3/100, 0.62% to 8.6%, 2 s",
    ),
    "no win": ((result(HELD, 500, 0),), "0/500, < 0.74%"),
    "one attempt": ((result(FELL, 1, 1),), "BYPASSED"),
    "the target was killed": ((result(HELD, 500, 0, ENDED),), "ended"),
    "killed after wins": ((result(FELL, 60, 3, ENDED),), "3/60, 1.0% to 14%, 1 s"),
    "too few for a verdict": ((result(VerdictKind.BROKEN, 500, 0),), "0/500, < 0.74%"),
    "something broke": (
        (result(FELL, 60, 3), result(VerdictKind.BROKEN, 0, 0)),
        "BROKEN",
    ),
}


@pytest.mark.parametrize(("results", "cell"), CELLS.values(), ids=list(CELLS))
def test_a_cell_says_how_sure_its_rate_is(results: Sequence[Result], cell: str) -> None:
    """Wins of attempts, the 95 % interval, seconds for a win; else the verdict alone."""
    setting = Setting(mechanism="ptrace", on=DEFAULT_DEFENCES)
    line = Line(attack=ATTACKS["race/path-race"], cells={setting: results} if results else {})
    rows = defences_table([line], "ptrace").splitlines()
    assert rows[0] == "ptrace:"
    assert rows[2].startswith("| attack | all on | no copy | no pin |")
    cells = rows[4].strip("| ").split(" | ")
    assert cells[0].startswith("race/path-race (A1")
    assert cells[1] == cell
    assert set(cells[2:]) == {"·"}

"""The tables of defences that are cited: rates, intervals, and no rate where there is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from enforcer.call import Action
from enforcer.events import EventKind
from enforcer.mechanisms.contract import DEFAULT_DEFENCES
from harness.bench.defences import Cost
from harness.defences import SETTINGS, Line, Setting, has_broken
from harness.model import Observation, Outcome, Result, RunKind, Verdict, VerdictKind
from harness.report.defences import defences_table
from harness.report.defences_plot import LABELS, WIDTH, defences_page, rates_plot
from tests.harness.test_defences import ATTACKS, found

ATTACK = Observation(kind=RunKind.ATTACK, outcome=Outcome.EFFECT, finished=True, seconds=3.0)
CASE = replace(found()[0], defences=DEFAULT_DEFENCES)


def result(kind: VerdictKind, attempts: int, wins: int, seen: Observation = ATTACK) -> Result:
    verdict = Verdict(kind=kind, reason="", attempts=attempts, wins=wins)
    return Result(case=CASE, verdict=verdict, observations=(seen,))


FELL, HELD = VerdictKind.BYPASSED, VerdictKind.HELD
KILL = {"event": EventKind.DETECTION.value, "action": Action.KILL.value}
ENDED = replace(ATTACK, finished=False, events=(KILL,))
HUNG = replace(ATTACK, finished=False)
BROKE = VerdictKind.BROKEN

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
    "the target hung": ((result(BROKE, 0, 0, HUNG),), "BROKEN"),
    "killed after wins": ((result(FELL, 60, 3, ENDED),), "3/60, 1.0% to 14%, 1 s"),
    "too few for a verdict": ((result(BROKE, 500, 0),), "0/500, < 0.74%"),
    "something broke": ((result(FELL, 60, 3), result(BROKE, 0, 0)), "BROKEN"),
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


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        (result(BROKE, 0, 0), True),
        (result(BROKE, 0, 0, HUNG), True),
        (result(BROKE, 0, 0, ENDED), False),
        (result(BROKE, 500, 0), False),
        (result(FELL, 500, 3), False),
    ],
    ids=["no run", "hung", "killed by the enforcer", "too few attempts", "fell"],
)
def test_only_our_own_failure_is_broken(given: Result, broken: bool) -> None:
    """A killed target and a rate without a verdict are what the table is to tell."""
    assert has_broken(given) is broken


COSTS = [
    Cost(setting=setting, row="open+close", median=2.0 + number, least=1.5, most=20.0)
    for number, setting in enumerate(SETTINGS)
]


def test_costs_stand_below_the_attacks() -> None:
    """In times of bare, under the setting that was timed."""
    line = Line(attack=ATTACKS["race/path-race"], cells={})
    row = defences_table([line], "ptrace", COSTS[:2]).splitlines()[5]
    cells = row.strip("| ").split(" | ")
    wanted = ["open+close, times bare", "2.00 (1.50 to 20.00)", "3.00 (1.50 to 20.00)"]
    assert cells == [*wanted, *"······"]


def test_a_rate_is_drawn_where_it_is() -> None:
    """From 0.01 % at the left to 100 % at the right; without a win there is a bar and no dot."""
    settings = [setting for setting in SETTINGS if setting.mechanism == "ptrace"]
    cells = {
        settings[0]: (result(HELD, 500, 0),),
        settings[1]: (result(FELL, 100, 99),),
        settings[2]: (result(HELD, 0, 0, ENDED),),
    }
    (group,) = rates_plot([Line(attack=ATTACKS["race/path-race"], cells=cells)], "ptrace").groups
    held, fell, ended, unknown, *_ = group.marks
    assert (held.low, held.at) == (LABELS, None)
    assert fell.low is not None
    assert fell.at is not None
    assert fell.high is not None
    assert held.high is not None
    assert LABELS < held.high < fell.low < fell.at < fell.high <= LABELS + WIDTH
    assert (ended.at, ended.said) == (None, "the target was ended")
    assert (unknown.at, unknown.said) == (None, "not known")
    assert [mark.y for mark in group.marks] == sorted({mark.y for mark in group.marks})


def test_the_page_asks_nothing_of_any_network_and_takes_the_readers_colours() -> None:
    """Two plots and a table for what was measured; every mark says its numbers; no fixed colour."""
    setting = SETTINGS[0]
    line = Line(attack=ATTACKS["race/path-race"], cells={setting: (result(FELL, 60, 3),)})
    page = defences_page({setting.mechanism: [line]}, COSTS[:2], "Defences <&>")
    assert page.count("<svg") == 2
    assert "Defences &lt;&amp;&gt;" in page
    assert "all on: 3 of 60: 1.0% to 14%</title>" in page
    assert "2.00 times bare (1.50 to 20.00)</title>" in page
    assert "<td>3/60, 1.0% to 14%, 1 s</td>" in page
    drawing = page[page.index("<svg") : page.index("</figure>")]
    assert not re.search(r"#[0-9a-f]{3}|https?:|url\(|<script|src=", drawing)
    assert "prefers-color-scheme: dark" in page

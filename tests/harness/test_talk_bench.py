"""`harness bench talk`: an interval that is right whatever the distribution, and every row."""

from __future__ import annotations

import json
import math
from itertools import combinations

import pytest
from click.testing import CliRunner

from harness.bench.talk import BARE, CALLS, MISS, TALKS_CALLS, Cell, fitting, interval
from harness.cli import cli


def missed(count: int, low: int, high: int) -> float:
    """How often the median of a distribution is not between these order statistics of `count`."""
    ways = (sum(1 for _ in combinations(range(count), k)) for k in range(count + 1))
    below = [number / (1 << count) for number in ways]
    return sum(below[: low + 1]) + sum(below[high + 1 :])


@pytest.mark.parametrize("count", [6, 8, 11, 15])
def test_an_interval_misses_the_median_seldom_and_no_narrower_one_does(count: int) -> None:
    """With k values below the median, it is between ranks low and high if low < k <= high."""
    low, high = (int(each) for each in interval([float(each) for each in range(count)]))
    assert missed(count, low, high) <= MISS
    assert missed(count, low + 1, high - 1) > MISS


def test_few_values_have_no_narrower_interval_than_all_of_them() -> None:
    """Of three the least and the most are told, in whatever order they came."""
    assert interval([3.0, 1.0, 2.0]) == (1.0, 3.0)


def test_an_overhead_is_of_the_same_turn() -> None:
    """A turn in which the machine was slow is slow for bare too."""
    cell = Cell(
        call="getuid",
        confinement="seccomp",
        calls=1,
        once=150.0,
        once_bare=100.0,
        turns=(110.0, 1100.0, 11.0),
        bare=(100.0, 1000.0, 10.0),
    )
    assert cell.overhead_once == pytest.approx(0.5)
    assert all(math.isclose(each, 0.1) for each in cell.overhead)


@pytest.mark.parametrize(
    ("calls", "nanoseconds", "made"),
    [
        (TALKS_CALLS, 500.0, TALKS_CALLS),
        (TALKS_CALLS, 75_000.0, 800_000),
        (7, 1e12, 1),
        (0, 75.0, 0),
    ],
)
def test_a_loop_ends_within_a_minute(calls: int, nanoseconds: float, made: int) -> None:
    """All of the talk's calls where they fit into it, else as many as do; none is none."""
    assert fitting(calls, nanoseconds, longest_s=60.0) == made


def test_every_call_is_told_under_every_confinement() -> None:
    """Bare and the mechanisms have a record for each of the talk's four calls, then programs."""
    words = ["bench", "talk", "--calls", "200", "--turns", "3", "--a-turn", "200", "--json"]
    said = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert said.exit_code == 0, said.output
    records = [json.loads(line) for line in said.output.splitlines()]
    cells = [each for each in records if "call" in each]
    titles = {each["confinement"] for each in cells}
    assert {BARE, "seccomp", "ptrace", "notify"} <= titles
    assert [each["call"] for each in cells if each["confinement"] == BARE] == list(CALLS)
    assert len(cells) == len(CALLS) * len(titles)
    programs = [each for each in records if "program" in each]
    assert all(each["calls"] > 0 for each in programs)

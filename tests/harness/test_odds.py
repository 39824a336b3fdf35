"""Bounds of win rates: exact, on the side that is named, and shown so that they stay true."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.odds import (
    NEAR_CERTAINTY,
    attempts_needed,
    percent,
    win_rate_bound,
    win_rate_floor,
)


def chance_of_at_least(wins: int, attempts: int, rate: float) -> float:
    """The binomial tail, term by term."""
    return sum(
        math.comb(attempts, count) * rate**count * (1 - rate) ** (attempts - count)
        for count in range(wins, attempts + 1)
    )


def test_the_bound_is_one_sided() -> None:
    """The bound is the rate at which no win in n attempts is a 5 % chance, not a 2.5 % one."""
    for attempts in (1, 2_000, 20_000):
        assert (1 - win_rate_bound(attempts)) ** attempts == pytest.approx(0.05)
    assert win_rate_bound(20_000) == pytest.approx(1.4978e-4, rel=1e-3)
    assert win_rate_bound(0) == 1.0


@pytest.mark.parametrize(("attempts", "wins"), [(1, 1), (60, 3), (60, 60), (200, 77), (500, 1)])
def test_the_floor_is_one_sided(attempts: int, wins: int) -> None:
    """The floor is the rate at which so many wins are a 5 % chance."""
    floor = win_rate_floor(attempts, wins)
    assert chance_of_at_least(wins, attempts, floor) == pytest.approx(0.05)


def test_without_a_win_there_is_no_floor() -> None:
    """An enforcer that never lost says nothing of how many attempts are enough."""
    assert win_rate_floor(1000, 0) == 0.0
    assert attempts_needed(1000, 0) is None


@pytest.mark.parametrize(("attempts", "wins"), [(2_000, 120), (2_000, 1), (20_000, 9_000), (5, 5)])
def test_so_many_attempts_are_nearly_certain_to_win(attempts: int, wins: int) -> None:
    """Even at the floor of its rate; one attempt less would not do."""
    needed = attempts_needed(attempts, wins)
    assert needed is not None
    floor = win_rate_floor(attempts, wins)
    assert 1 - (1 - floor) ** needed >= NEAR_CERTAINTY
    assert 1 - (1 - floor) ** (needed - 1) < NEAR_CERTAINTY


def test_20000_attempts_are_not_shown_as_less_than_they_prove() -> None:
    """0.00014978 is below 0.015 %, not below 0.01 %."""
    assert percent(win_rate_bound(20_000)) == "0.015%"
    assert percent(win_rate_bound(2_000)) == "0.15%"
    assert percent(win_rate_bound(1)) == "95%"
    assert percent(1.0) == "100%"
    assert percent(0.0) == "0%"


@given(st.floats(min_value=1e-9, max_value=1.0))
def test_what_is_shown_is_true(rate: float) -> None:
    """An upper bound is shown as no less than it is, a lower one as no more, within a tenth."""
    above = Decimal(percent(rate).rstrip("%")) / 100
    below = Decimal(percent(rate, upper=False).rstrip("%")) / 100
    exact = Decimal(rate)
    assert below <= exact <= above
    assert above - below <= exact / 9

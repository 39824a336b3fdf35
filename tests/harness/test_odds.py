"""Bounds of win rates: exact, on the side that is named, and shown so that they stay true."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.odds import (
    NEAR_CERTAINTY,
    WEAKER,
    attempts_enough,
    attempts_needed,
    percent,
    win_rate_bound,
    win_rate_floor,
    win_rate_interval,
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


@pytest.mark.parametrize(("attempts", "wins"), [(1, 1), (60, 3), (200, 77), (500, 1)])
def test_an_interval_has_an_equal_chance_on_both_sides(attempts: int, wins: int) -> None:
    """So many wins or more at its lower end, so many or fewer at its upper one: 2.5 % each."""
    low, high = win_rate_interval(attempts, wins)
    assert chance_of_at_least(wins, attempts, low) == pytest.approx(0.025)
    if wins < attempts:
        assert 1 - chance_of_at_least(wins + 1, attempts, high) == pytest.approx(0.025)
    else:
        assert high == 1.0


def test_an_interval_without_a_win_begins_at_zero() -> None:
    """Its upper end is 1 - 0.025 ** (1 / n)."""
    low, high = win_rate_interval(500, 0)
    assert low == 0.0
    assert high == pytest.approx(1 - math.pow(0.025, 1 / 500))


EXACT = [
    # attempts, wins, lower end of the one-sided 95 % interval, attempts for 99.9 %
    (1, 1, 0.05, 135),
    (2, 1, 0.0253205655191, 270),
    (2, 2, 0.22360679775, 28),
    (5, 4, 0.342591681999, 17),
    (10, 1, 0.00511619689182, 1347),
    (10, 3, 0.0872644339142, 76),
    (10, 10, 0.741134449107, 6),
    (100, 8, 0.040428870624, 168),
    (100, 50, 0.413621714631, 13),
    (100, 99, 0.953440188546, 3),
    (200, 100, 0.439641025283, 12),
    (2000, 1, 2.56463183213e-05, 269344),
    (2000, 8, 0.00199191610995, 3465),
    (2000, 14, 0.00423678049841, 1627),
    (2000, 1990, 0.991533651794, 2),
    (2000, 2000, 0.998503255105, 2),
    (20000, 5, 9.85124777904e-05, 70118),
    (20000, 8, 0.000199056165183, 34700),
    (100000, 1, 5.12932812325e-07, 13467171),
]
"""Computed apart from this code: binomial sums and bisection with 60 decimal digits."""


@pytest.mark.parametrize(("attempts", "wins", "floor", "needed"), EXACT)
def test_exact_values(attempts: int, wins: int, floor: float, needed: int) -> None:
    """Of all three orders of magnitude of wins, to ten digits; the count to the last one."""
    assert win_rate_floor(attempts, wins) == pytest.approx(floor, rel=1e-10)
    assert attempts_needed(attempts, wins) == needed


@pytest.mark.parametrize(
    ("attempts", "bound"),
    [
        (0, 1.0),
        (1, 0.95),
        (2, 0.77639320225),
        (3, 0.631596850136),
        (10, 0.258865550893),
        (59, 0.0495076098882),
        (100, 0.029513049607),
        (2000, 0.00149674489519),
        (20_000, 0.000149775396223),
        (1_000_000, 2.99572778635e-06),
    ],
)
def test_exact_bounds(attempts: int, bound: float) -> None:
    """The rates at which so many attempts without a win are a 5 % chance."""
    assert win_rate_bound(attempts) == pytest.approx(bound, rel=1e-9)


@pytest.mark.parametrize(("attempts", "wins"), [(3, 1), (12, 5), (40, 40)])
def test_the_floor_in_fractions(attempts: int, wins: int) -> None:
    """A hair below it so many wins are less than a 5 % chance, a hair above it more."""
    floor = Fraction(win_rate_floor(attempts, wins))
    for side, is_less in (
        (Fraction(999_999, 1_000_000), True),
        (1 / Fraction(999_999, 10**6), False),
    ):
        rate = floor * side
        chance = sum(
            math.comb(attempts, count) * rate**count * (1 - rate) ** (attempts - count)
            for count in range(wins, attempts + 1)
        )
        assert (chance < Fraction(1, 20)) is is_less


@pytest.mark.parametrize(
    ("rate", "above", "below"),
    [
        (0.0, "0%", "0%"),
        (1.0, "100%", "100%"),
        (0.999, "100%", "99%"),
        (0.95, "95%", "94%"),
        (0.5, "50%", "50%"),
        (0.123, "13%", "12%"),
        (0.0999, "10.0%", "9.9%"),
        (0.03125, "3.2%", "3.1%"),
        (0.0014978, "0.15%", "0.14%"),
        (0.00014978, "0.015%", "0.014%"),
        (1e-9, "0.00000011%", "0.00000010%"),
    ],
)
def test_how_rates_are_shown(rate: float, above: str, below: str) -> None:
    """Two digits, rounded to the side on which the bound stays true; in full, without exponent."""
    assert (percent(rate), percent(rate, upper=False)) == (above, below)


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


@pytest.mark.parametrize(("attempts", "wins"), [(80, 27), (80, 8), (400, 2), (20_000, 9_000)])
def test_so_many_attempts_exclude_a_tenth_of_what_was_lost(attempts: int, wins: int) -> None:
    """By the bound that the verdict shows; one attempt less would not do."""
    enough = attempts_enough(attempts, wins)
    assert enough is not None
    tenth = win_rate_floor(attempts, wins) / WEAKER
    assert win_rate_bound(enough) <= tenth < win_rate_bound(enough - 1)
    assert (WEAKER, attempts_enough(80, 27), attempts_enough(80, 8)) == (10, 119, 589)
    assert attempts_enough(1000, 0) is None


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

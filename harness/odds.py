"""What counts of attempts and wins prove: bounds of win rates, all of them exact and one-sided.

Attempts are taken as independent trials with one chance of winning each (Clopper and Pearson,
Biometrika 1934). Bounds are shown rounded to the side on which they stay true.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

CONFIDENCE = 0.95
NEAR_CERTAINTY = 0.999
"""How surely the leaky enforcer would have lost in as many attempts as a held race has."""

WEAKER = 10
"""A held race that is cut short excludes enforcers that lose this many times less often."""

_BISECTIONS = 60
_DIGITS = 2


def win_rate_bound(attempts: int) -> float:
    """The upper end of the one-sided 95 % interval of the win rate after no win in `attempts`.

    With p as the chance of one win, n attempts without a win have the probability (1-p)**n; the
    bound is the p for which that is 5 %: 1 - 0.05**(1/n), about 3/n for many attempts.
    """
    if attempts < 1:
        return 1.0
    return 1.0 - float((1.0 - CONFIDENCE) ** (1.0 / attempts))


def win_rate_floor(attempts: int, wins: int, chance: float = 1.0 - CONFIDENCE) -> float:
    """The lower end of the one-sided 95 % interval of the win rate: 0 without a win.

    The p for which `wins` or more of `attempts` have this chance, 5 %.
    """
    if wins < 1:
        return 0.0
    low, high = 0.0, wins / attempts
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _chance_of_at_least(wins, attempts, middle) < chance:
            low = middle
        else:
            high = middle
    return low


def win_rate_interval(attempts: int, wins: int) -> tuple[float, float]:
    """Both ends of the two-sided 95 % interval of the win rate, each with a chance of 2.5 %."""
    chance = (1.0 - CONFIDENCE) / 2
    lost = win_rate_floor(attempts, attempts - wins, chance)
    return win_rate_floor(attempts, wins, chance), 1.0 - lost


def attempts_needed(attempts: int, wins: int) -> int | None:
    """In how many attempts an enforcer that lost `wins` of `attempts` loses with near certainty.

    Its rate is taken at the lower end of its interval. None: it never lost, so no number is enough.
    """
    return _attempts_without(1.0 - NEAR_CERTAINTY, win_rate_floor(attempts, wins))


def attempts_enough(attempts: int, wins: int) -> int | None:
    """How many attempts without a win put the bound at a tenth of what was lost (`wins` of
    `attempts`, at the lower end of the interval): an enforcer that is only a little better than
    the leaky one would show. None: it never lost, so no number is enough.
    """
    return _attempts_without(1.0 - CONFIDENCE, win_rate_floor(attempts, wins) / WEAKER)


def percent(rate: float, *, upper: bool = True) -> str:
    """A bound up to 1 with two significant digits, an upper one rounded up, a lower one down."""
    exact = Decimal(rate).scaleb(2)
    unit = Decimal(1).scaleb(exact.adjusted() - _DIGITS + 1)
    rounded = exact.quantize(unit, rounding=ROUND_CEILING if upper else ROUND_FLOOR)
    return f"{rounded:f}%"


def _attempts_without(chance: float, rate: float) -> int | None:
    """How many attempts end without a win by this chance, at most; None where none can win."""
    if rate <= 0.0:
        return None
    return math.ceil(math.log(chance) / math.log1p(-rate))


def _chance_of_at_least(wins: int, attempts: int, rate: float) -> float:
    """The binomial tail; `rate` is at most wins/attempts, so its terms only fall."""
    if rate <= 0.0:
        return 0.0
    term = math.exp(
        math.lgamma(attempts + 1)
        - math.lgamma(wins + 1)
        - math.lgamma(attempts - wins + 1)
        + wins * math.log(rate)
        + (attempts - wins) * math.log1p(-rate)
    )
    total, odds = term, rate / (1.0 - rate)
    for count in range(wins, attempts):
        term *= (attempts - count) / (count + 1) * odds
        total += term
        if term < total * 1e-16:
            break
    return total

"""One value of every class of 32-bit words that tests tell apart.

Bits are decided from the highest on. What the bits so far say of all tests is a state; words that
come to one state are alike: the states after the last bit are the classes, none left out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache

from enforcer.cbpf.instruction import Code

MOST_STATES = 20_000
"""More are no filter that anybody wrote, and would take minutes."""


class CutShort(Exception):
    """There is more to look at than is looked at; the message says what."""


Test = tuple[int, int, int]
"""(mask, comparison, constant): the masked word is compared with the constant."""

_State = tuple[tuple[tuple[int, int], ...], tuple[bool, ...]]
"""For each mask the constants (from, to) whose bits so far are the word's: those before are less,
those behind greater. For each set of bits whether one of them is set.
"""


@lru_cache(maxsize=4096)
def representatives(tests: frozenset[Test]) -> tuple[int, ...]:
    """The least value of every class, in ascending order. Raises CutShort."""
    masks: dict[int, set[int]] = {}
    bits: dict[int, None] = {}
    for mask, code, k in sorted(tests):
        if code == Code.JSET:
            bits[mask & k] = None
        else:
            masks.setdefault(mask, set()).add(k)
    constants = tuple((mask, tuple(sorted(found))) for mask, found in masks.items())
    states: dict[_State, int] = {
        (tuple((0, len(found)) for _, found in constants), (False,) * len(bits)): 0
    }
    for place in range(31, -1, -1):
        after: dict[_State, int] = {}
        for (ranges, any_set), value in states.items():
            for bit in (0, 1):
                state = (
                    tuple(_narrowed(constants, ranges, place, bit)),
                    tuple(
                        held or bool(bit and each >> place & 1)
                        for each, held in zip(bits, any_set, strict=True)
                    ),
                )
                found = value | bit << place
                after[state] = min(after.get(state, found), found)
        if len(after) > MOST_STATES:
            raise CutShort(f"more than {MOST_STATES} classes of values of one word")
        states = after
    return tuple(sorted(states.values()))


def _narrowed(
    constants: tuple[tuple[int, tuple[int, ...]], ...],
    ranges: tuple[tuple[int, int], ...],
    place: int,
    bit: int,
) -> Iterator[tuple[int, int]]:
    """Which constants are still the word's when its bit at `place` is known too."""
    for (mask, found), (start, end) in zip(constants, ranges, strict=True):
        if start == end:
            yield start, end
            continue
        first = (found[start] >> place | 1) << place
        middle = bisect_left(found, first, start, end)
        yield (middle, end) if bit and mask >> place & 1 else (start, middle)

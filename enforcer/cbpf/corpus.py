"""Calls that sit on and next to every boundary of a filter specification."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from enforcer.cbpf.spec import CANCELLED, AbiTable, FilterSpec, SeccompData, SpecClause
from enforcer.condition import LOW_HALF, WORD, All, Any, Compare, Condition, Not

_ARGUMENTS = 6
_LAST_NUMBER = 0xFFFF_FFFF
FOREIGN_ARCH = 0x1234_5678
"""An AUDIT_ARCH of no machine."""

_Registers = tuple[int, int, int, int, int, int]


def corpus(spec: FilterSpec, *, draws: int = 8, seed: int = 0) -> Iterator[SeccompData]:
    """Calls for every listed number, its neighbours and the edges of the number space.

    A call with conditions comes with every boundary value of each register, the others at zero,
    and `draws` times as many random combinations of boundary values, the same for the same `seed`.
    """
    chance = random.Random(seed)
    yield SeccompData(0, FOREIGN_ARCH)
    for table in spec.tables:
        arch = table.abi.audit_arch
        for number in _numbers(table):
            for registers in _registers(table.calls.get(number, ()), draws, chance):
                yield SeccompData(number, arch, registers)


def boundary_values(compare: Compare) -> tuple[int, ...]:
    """Register values around which one comparison changes its mind, and its 64-bit traps.

    Equal halves, a set upper half, the bits outside the mask, and the sign bits of both widths.
    """
    value, outside = compare.value, ~compare.mask & WORD
    low, high = value & LOW_HALF, value >> 32
    return tuple(
        dict.fromkeys(
            candidate & WORD
            for candidate in (
                value,
                value - 1,
                value + 1,
                value | outside,
                low,
                low | (high + 1) << 32,
                low | (high - 1) << 32,
                (low - 1) & LOW_HALF | high << 32,
                (low + 1) & LOW_HALF | high << 32,
                (low + 1) & LOW_HALF | (high - 1) << 32,
                (low - 1) & LOW_HALF | (high + 1) << 32,
                low << 32 | high,
                value ^ 1 << 31,
                value ^ 1 << 63,
                compare.mask,
                value ^ (compare.mask & -compare.mask),
                0,
                WORD,
            )
        )
    )


def comparisons(clauses: Iterable[SpecClause]) -> Iterator[Compare]:
    """Every comparison in the conditions of `clauses`."""
    for clause in clauses:
        yield from _comparisons(clause.when)


def _comparisons(condition: Condition) -> Iterator[Compare]:
    match condition:
        case Compare():
            yield condition
        case Not(member):
            yield from _comparisons(member)
        case All(members) | Any(members):
            for member in members:
                yield from _comparisons(member)


def _numbers(table: AbiTable) -> list[int]:
    bit = table.abi.nr_bit
    edges = (0, bit, bit - 1, 2 * bit - 1, 2 * bit, 1 << 31, CANCELLED, CANCELLED - 1)
    around = {near for number in table.calls for near in (number - 1, number, number + 1)}
    return sorted(number for number in around.union(edges) if 0 <= number <= _LAST_NUMBER)


def _registers(
    clauses: Sequence[SpecClause], draws: int, chance: random.Random
) -> Iterator[_Registers]:
    yield (0, 0, 0, 0, 0, 0)
    found = list(comparisons(clauses))
    if not found:
        return
    values: list[dict[int, None]] = [{} for _ in range(_ARGUMENTS)]
    for compare in found:
        values[compare.argument].update(dict.fromkeys(boundary_values(compare)))
    for argument, candidates in enumerate(values):
        for candidate in candidates:
            registers = [0] * _ARGUMENTS
            registers[argument] = candidate
            yield _six(registers)
    count = draws * sum(map(len, values))
    a, b, c, d, e, f = (chance.choices([*each] or [0], k=count) for each in values)
    yield from zip(a, b, c, d, e, f, strict=True)


def _six(registers: Sequence[int]) -> _Registers:
    a, b, c, d, e, f = registers
    return (a, b, c, d, e, f)

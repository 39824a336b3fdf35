"""Conditions on argument registers: what the kernel itself can decide about a call.

A condition reads nothing but the six registers, so a seccomp filter can evaluate it in full.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

WORD = 0xFFFF_FFFF_FFFF_FFFF
LOW_HALF = 0xFFFF_FFFF


class Operator(StrEnum):
    """A comparison of unsigned values."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True)
class Compare:
    """`(args[argument] & mask) operator value`, all unsigned 64-bit."""

    argument: int
    operator: Operator
    value: int
    mask: int = WORD


@dataclass(frozen=True)
class All:
    """True when every member is true; `All(())` is true."""

    members: tuple[Condition, ...]


@dataclass(frozen=True)
class Any:
    """True when some member is true; `Any(())` is false."""

    members: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """True when the member is false."""

    member: Condition


Condition = Compare | All | Any | Not

TRUE: Condition = All(())
FALSE: Condition = Any(())


def holds(condition: Condition, args: Sequence[int]) -> bool:
    """Evaluate `condition` on six unsigned 64-bit registers."""
    if isinstance(condition, Compare):
        left = args[condition.argument] & condition.mask
        return _TESTS[condition.operator](left, condition.value)
    match condition:
        case All(members):
            return all(holds(member, args) for member in members)
        case Any(members):
            return any(holds(member, args) for member in members)
        case Not(member):
            return not holds(member, args)


_TESTS: Mapping[Operator, Callable[[int, int], bool]] = {
    Operator.EQ: operator.eq,
    Operator.NE: operator.ne,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
}


def simplify(condition: Condition) -> Condition:
    """An equivalent condition without constants inside it, nested groups or double negation."""
    match condition:
        case Compare():
            return condition
        case Not(member):
            inner = simplify(member)
            if inner == TRUE:
                return FALSE
            if inner == FALSE:
                return TRUE
            return inner.member if isinstance(inner, Not) else Not(inner)
        case All(members):
            return _group(All, members, unit=TRUE, zero=FALSE)
        case Any(members):
            return _group(Any, members, unit=FALSE, zero=TRUE)


def _group(
    kind: type[All] | type[Any],
    members: tuple[Condition, ...],
    *,
    unit: Condition,
    zero: Condition,
) -> Condition:
    kept: list[Condition] = []
    for member in map(simplify, members):
        if member == zero:
            return zero
        parts = member.members if isinstance(member, kind) else (member,)
        kept.extend(part for part in parts if part not in kept)
    if not kept:
        return unit
    return kept[0] if len(kept) == 1 else kind(tuple(kept))

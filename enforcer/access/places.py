"""Sets of names that Landlock can tell apart: hierarchies, and single files.

A Region is what one access is permitted on; the text expressions of rules become Regions where
they speak of nothing but hierarchies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from enforcer.policy.ast import (
    AndExpression,
    Dialect,
    Expression,
    OrExpression,
    TextOperator,
    TextSymbol,
)


class Shape(StrEnum):
    """TREE: the name and all beneath. BENEATH: all beneath it. EXACT: the name alone."""

    TREE = "tree"
    BENEATH = "beneath"
    EXACT = "exact"


@dataclass(frozen=True)
class Place:
    """One set of canonical names."""

    path: str
    shape: Shape

    def contains(self, other: Place) -> bool:
        """Whether every name of `other` is one of these."""
        if self.path == other.path:
            return self.shape in (Shape.TREE, other.shape)
        return self.shape is not Shape.EXACT and _is_beneath(other.path, self.path)


@dataclass(frozen=True)
class Region:
    """Where an access is permitted; `places` None is everywhere."""

    places: frozenset[Place] | None = None

    @property
    def is_everything(self) -> bool:
        return self.places is None

    def contains(self, other: Region) -> bool:
        """Whether all of `other` is within, place by place."""
        if self.places is None:
            return True
        if other.places is None:
            return False
        return all(any(mine.contains(one) for mine in self.places) for one in other.places)


EVERYWHERE = Region(None)
NOWHERE = Region(frozenset())


def region_of(places: Iterable[Place]) -> Region:
    """The union of some places, without what lies within another."""
    found = set(places)
    for place in list(found):
        if place.shape is Shape.EXACT and Place(place.path, Shape.BENEATH) in found:
            found.add(Place(place.path, Shape.TREE))
    if Place("/", Shape.TREE) in found:
        return EVERYWHERE
    return Region(
        frozenset(
            place
            for place in found
            if not any(other != place and other.contains(place) for other in found)
        )
    )


def common(left: Region, right: Region) -> Region:
    """The intersection: of two places one lies within the other, or they share nothing."""
    if left.places is None:
        return right
    if right.places is None:
        return left
    found: set[Place] = set()
    for one in left.places:
        for other in right.places:
            if one.contains(other):
                found.add(other)
            elif other.contains(one):
                found.add(one)
    return region_of(found)


def united(left: Region, right: Region) -> Region:
    """The union."""
    if left.places is None or right.places is None:
        return EVERYWHERE
    return region_of(left.places | right.places)


def region_of_expression(
    expression: Expression, translator: str, index: int, dialect: Dialect
) -> Region | None:
    """The names for which the expression holds; None where it says anything else as well."""
    match expression:
        case OrExpression(left, right):
            one = region_of_expression(left, translator, index, dialect)
            other = region_of_expression(right, translator, index, dialect)
            return None if one is None or other is None else united(one, other)
        case AndExpression(left, right):
            one = region_of_expression(left, translator, index, dialect)
            other = region_of_expression(right, translator, index, dialect)
            return None if one is None or other is None else common(one, other)
        case TextSymbol() if (expression.translator, expression.index) == (translator, index):
            place = _place(expression, dialect)
            return None if place is None else region_of([place])
        case _:
            return None


def _place(symbol: TextSymbol, dialect: Dialect) -> Place | None:
    name = symbol.operand
    match symbol.operator:
        case TextOperator.EQ:
            plain = dialect is Dialect.STRICT or name.lower() == name.upper()
            return Place(name, Shape.EXACT) if plain and _is_canonical(name) else None
        case TextOperator.MATCH:
            above, star = name.removesuffix("/*"), name.endswith("/*")
            if any(character in "*?[\\" for character in above):
                return None
            if star and above == "":
                return Place("/", Shape.TREE)
            if not _is_canonical(above):
                return None
            if above == "/":
                return Place("/", Shape.EXACT)  # what lies beneath has no second `/`
            return Place(above, Shape.BENEATH if star else Shape.TREE)
        case _:
            return None


def _is_canonical(name: str) -> bool:
    parts = name.split("/")
    return name == "/" or (parts[0] == "" and not {"", ".", ".."} & set(parts[1:]))


def _is_beneath(name: str, above: str) -> bool:
    return above == "/" or name.startswith(above + "/")

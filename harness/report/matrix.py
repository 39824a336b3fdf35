"""Results as a matrix of attacks and backends: the data behind the terminal and the HTML table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from enforcer.mechanisms.contract import MechanismName, PreparedName
from harness.catalogue import order
from harness.model import VerdictKind
from harness.results import Row

LEAKY = "leaky"
SEVERITY = (
    VerdictKind.BROKEN,
    VerdictKind.BYPASSED,
    VerdictKind.NOT_ENFORCING,
    VerdictKind.OVERBLOCKED,
    VerdictKind.UNLOGGED,
    VerdictKind.HELD,
    VerdictKind.INEXPRESSIBLE,
    VerdictKind.INAPPLICABLE,
)
SHORT = {
    VerdictKind.HELD: "held",
    VerdictKind.BYPASSED: "BYPASSED",
    VerdictKind.OVERBLOCKED: "OVERBLOCKED",
    VerdictKind.UNLOGGED: "UNLOGGED",
    VerdictKind.NOT_ENFORCING: "NOT ENF.",
    VerdictKind.INEXPRESSIBLE: "inexpr.",
    VerdictKind.INAPPLICABLE: "n/a",
    VerdictKind.BROKEN: "BROKEN",
}
MEANING = {
    VerdictKind.HELD: "no effect, with every control in place",
    VerdictKind.BYPASSED: "the denied effect was seen from outside",
    VerdictKind.OVERBLOCKED: "permitted work failed",
    VerdictKind.UNLOGGED: "missing from the enforcer's log",
    VerdictKind.NOT_ENFORCING: "the plain act was not denied, or no witness of enforcement",
    VerdictKind.INEXPRESSIBLE: "this mechanism cannot express a rule of the policy",
    VerdictKind.INAPPLICABLE: "no effect without an enforcer, or the kernel lacks what it needs",
    VerdictKind.BROKEN: "a failure of the laboratory, no verdict",
}


class Tone(StrEnum):
    """How a result is to be looked at, the one that matters most first."""

    BAD = "bad"
    KNOWN = "known"
    GOOD = "good"
    QUIET = "quiet"


def tone(row: Row) -> Tone:
    """By expectation, not by verdict: a leaky enforcer that fell is as wanted, and a weakness that
    the scenario names is no news.
    """
    kind = VerdictKind(row.verdict)
    if not row.as_expected or kind is VerdictKind.BROKEN:
        return Tone.BAD
    if kind in (VerdictKind.INEXPRESSIBLE, VerdictKind.INAPPLICABLE):
        return Tone.QUIET
    return Tone.GOOD if row.leaky or kind is VerdictKind.HELD else Tone.KNOWN


@dataclass(frozen=True, kw_only=True)
class Cell:
    """All results of one line under one backend (or all leaky ones together)."""

    rows: tuple[Row, ...]

    @property
    def worst(self) -> VerdictKind:
        """The verdict that matters most."""
        kinds = {VerdictKind(row.verdict) for row in self.rows}
        return next(kind for kind in SEVERITY if kind in kinds)

    @property
    def counts(self) -> Counter[VerdictKind]:
        """How often each verdict is among them, the one that matters most first."""
        found = Counter(VerdictKind(row.verdict) for row in self.rows)
        return Counter({kind: found[kind] for kind in SEVERITY if found[kind]})

    @property
    def attempts(self) -> int:
        return sum(row.attempts for row in self.rows)

    @property
    def wins(self) -> int:
        return sum(row.wins for row in self.rows)

    @property
    def bound(self) -> float | None:
        """The weakest bound of the held races in this cell."""
        bounds = [row.bound for row in self.rows if row.bound is not None]
        return max(bounds) if bounds else None

    @property
    def tone(self) -> Tone:
        """The one that matters most."""
        found = {tone(row) for row in self.rows}
        return next(each for each in Tone if each in found)

    @property
    def as_expected(self) -> bool:
        return all(row.as_expected for row in self.rows)

    @property
    def known(self) -> bool:
        """A weakness that the scenario names."""
        return any(row.weakness for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One attack, or one command scenario."""

    name: str
    catalogue: tuple[str, ...]
    cells: dict[str, Cell]


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Lines by catalogue id, columns of backends, ours first and all leaky ones in one."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Surprise:
    """Results that contradict their scenarios alike: the same verdict instead of the same other
    one, for the same reason, under the same classes.
    """

    verdict: VerdictKind
    wanted: str
    reason: str
    catalogue: tuple[str, ...]
    rows: tuple[Row, ...]


def surprises(rows: Iterable[Row]) -> tuple[Surprise, ...]:
    """What is not as expected, in the order of the first of each."""
    found: dict[tuple[str, str, str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        if not row.as_expected:
            wanted = f"bypassed ({row.weakness})" if row.weakness else row.expected
            key = (row.verdict, wanted, row.reason, row.catalogue)
            found.setdefault(key, []).append(row)
    return tuple(
        Surprise(
            verdict=VerdictKind(verdict),
            wanted=wanted,
            reason=reason,
            catalogue=classes,
            rows=tuple(alike),
        )
        for (verdict, wanted, reason, classes), alike in found.items()
    )


def matrix(rows: Iterable[Row]) -> Matrix:
    """Arrange results."""
    found: dict[str, dict[str, list[Row]]] = {}
    catalogue: dict[str, tuple[str, ...]] = {}
    for row in rows:
        name = row.attack or row.scenario
        column = LEAKY if row.leaky else row.backend
        found.setdefault(name, {}).setdefault(column, []).append(row)
        catalogue[name] = row.catalogue
    columns = {column for cells in found.values() for column in cells}
    order = [*MechanismName, *PreparedName, LEAKY]
    lines = [
        Line(
            name=name,
            catalogue=catalogue[name],
            cells={column: Cell(rows=tuple(rows)) for column, rows in cells.items()},
        )
        for name, cells in found.items()
    ]
    return Matrix(
        columns=tuple(sorted(columns, key=lambda name: (_place(order, name), name))),
        lines=tuple(sorted(lines, key=_line_order)),
    )


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order) - 1


def _line_order(line: Line) -> tuple[bool, list[tuple[str, int]], str]:
    ids = [order(each) for each in line.catalogue]
    return (not ids, ids, line.name)

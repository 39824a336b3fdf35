"""The same cases in several places: the verdicts of each, which differ from here, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.model import VerdictKind
from harness.report.matrix import SEVERITY, SHORT
from harness.results import Row

LOCAL = "local"
NO_VERDICT = frozenset({VerdictKind.BROKEN, VerdictKind.INAPPLICABLE, VerdictKind.INEXPRESSIBLE})

Key = tuple[str, str, str]  # scenario, variant, backend


@dataclass(frozen=True, kw_only=True)
class Column:
    """One ABI on one kernel in one place."""

    arch: str
    kernel: str
    place: str
    rows: Mapping[Key, Row]

    @property
    def name(self) -> str:
        return f"{self.place} {self.arch} {self.kernel}"

    @property
    def counts(self) -> Counter[VerdictKind]:
        return Counter(VerdictKind(row.verdict) for row in self.rows.values())


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Cases that one place judges otherwise than the reference, all for one reason."""

    column: str
    before: str
    after: str
    reason: str
    cases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Columns, the reference first, and what differs from it."""

    columns: tuple[Column, ...]
    differences: tuple[Difference, ...]


def places(rows: Iterable[Row]) -> Places:
    """Compare places case by case; of a case that ran twice in one place the later result counts.

    The reference is this machine's ABI with the most cases, without one the first column. A case
    that ran only in one of the two places is no difference.
    """
    found: dict[tuple[str, str, str], dict[Key, Row]] = {}
    for row in rows:
        cases = found.setdefault((row.arch, row.kernel, row.place), {})
        cases[row.scenario, row.variant, row.backend] = row
    columns = [
        Column(arch=arch, kernel=kernel, place=place, rows=cases)
        for (arch, kernel, place), cases in found.items()
    ]
    columns.sort(key=lambda column: -len(column.rows) if column.place == LOCAL else 1)
    differences = [each for column in columns[1:] for each in _differences(columns[0], column)]
    return Places(columns=tuple(columns), differences=tuple(differences))


def _differences(reference: Column, other: Column) -> list[Difference]:
    together: dict[tuple[str, str, str], list[str]] = {}
    for key, there in other.rows.items():
        here = reference.rows.get(key)
        if here is None or here.verdict == there.verdict:
            continue
        speaks = here if VerdictKind(here.verdict) in NO_VERDICT else there
        reason = speaks.reason.partition("\n")[0]
        scenario, variant, backend = key
        case = f"{scenario}[{variant}-{backend}]"
        together.setdefault((here.verdict, there.verdict, reason), []).append(case)
    return [
        Difference(column=other.name, before=before, after=after, reason=reason, cases=tuple(cases))
        for (before, after, reason), cases in together.items()
    ]


def print_places(to: Console, found: Places) -> None:
    """A line for each place, then the differences."""
    kinds = [kind for kind in SEVERITY if any(column.counts[kind] for column in found.columns)]
    table = Table("place", "cases", *(SHORT[kind] for kind in kinds), "differ", box=None)
    for column in found.columns:
        differ = sum(len(each.cases) for each in found.differences if each.column == column.name)
        counts = (str(column.counts[kind]) for kind in kinds)
        table.add_row(column.name, str(len(column.rows)), *counts, str(differ))
    to.print(table)
    for each in found.differences:
        to.print(Text(f"\n{each.column}: {each.before} -> {each.after}: {each.reason}", "bold"))
        for case in each.cases:
            to.print(Text(f"    {case}"), soft_wrap=True)


def places_records(found: Places) -> Sequence[Mapping[str, object]]:
    """The same for other programs: a record for each place, then one for each difference."""
    return [
        *(
            {
                "place": column.place,
                "arch": column.arch,
                "kernel": column.kernel,
                "cases": len(column.rows),
                "verdicts": {kind.value: count for kind, count in column.counts.items()},
            }
            for column in found.columns
        ),
        *(
            {
                "where": each.column,
                "before": each.before,
                "after": each.after,
                "reason": each.reason,
                "cases": list(each.cases),
            }
            for each in found.differences
        ),
    ]

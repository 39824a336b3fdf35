"""What came of the mistakes, as lines for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.mutants.entries import Area, Mutant
from tests.mutants.workers import Ran

_ROW = "{:<16} {:>8} {:>8} {:>9} {:>7} {:>12} {:>6} {:>6}"


class Fate(StrEnum):
    """What became of one mistake. BROKEN: no test failed for its sake, and none passed."""

    NOTICED = "noticed"
    SURVIVED = "survived"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One mistake that was tried."""

    mutant: Mutant
    fate: Fate
    seconds: float
    said: str


def judge(mutant: Mutant, ran: Ran) -> Result:
    """pytest ends with 1 when a test failed and with 0 when all passed; nothing else counts."""
    fate, said = Fate.BROKEN, ran.said
    if ran.status is None:
        fate = Fate.NOTICED if mutant.hangs else Fate.BROKEN
        said = f"{said}\nthe tests took more than {ran.seconds:.0f} s"
    elif ran.status in (0, 1):
        fate = Fate.NOTICED if ran.status else Fate.SURVIVED
    else:
        said = f"{said}\npytest ended with status {ran.status}"
    return Result(mutant=mutant, fate=fate, seconds=ran.seconds, said=said)


def table(areas: Sequence[Area], results: Sequence[Result]) -> Iterator[str]:
    """A row for each area that was tried, and one for all."""
    yield _ROW.format("area", "mutants", "noticed", "survived", "broken", "equivalent", "%", "s")
    for area in areas:
        own = [each for each in results if each.mutant.area == area.name]
        if own:
            yield _row(area.name, own, len(area.equivalents))
    yield _row("all", results, sum(len(area.equivalents) for area in areas))


def _row(name: str, results: Sequence[Result], equivalents: int) -> str:
    fates = [each.fate for each in results]
    noticed, survived, broken = (fates.count(fate) for fate in Fate)
    share = f"{100 * noticed // len(results)}"
    seconds = f"{sum(each.seconds for each in results):.0f}"
    return _ROW.format(name, len(results), noticed, survived, broken, equivalents, share, seconds)


def faults(results: Sequence[Result]) -> Iterator[str]:
    """Every mistake that was not noticed: where, which, why it matters, what was run."""
    for each in results:
        if each.fate is Fate.NOTICED:
            continue
        change = each.mutant.change
        yield f"{change.place}: {each.fate} ({each.mutant.area})"
        yield from (f"    - {line}" for line in change.old.splitlines())
        yield from (f"    + {line}" for line in change.new.splitlines())
        yield f"    {each.mutant.why}"
        yield f"    tests: {' '.join(each.mutant.tests)}"
        if each.fate is Fate.BROKEN:
            yield from (f"    | {line}" for line in each.said.splitlines()[-15:])

"""What each attack won of each backend, added up: `attacks/numbers.tsv`, beside the attacks.

Results lie below a user's state directory; the page of the attacks is made where there are none.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from harness.model import VerdictKind
from harness.report.origin import kernel_of
from harness.results import Campaign, Row

FILE = "numbers.tsv"
_MADE = "# Made of stored results: harness report CAMPAIGN --with CAMPAIGN -o attacks/numbers.tsv"


@dataclass(frozen=True, kw_only=True)
class Number:
    """How often an attack met a backend with one verdict, and what it won of how many attempts.

    What is bypassed as a scenario says has the class of the known weakness, or `expected`, behind.
    `kernel` is the release of the latest of these cases ("" where nothing ran), `day` its date.
    """

    attack: str
    backend: str
    verdict: str
    cases: int
    wins: int
    attempts: int
    kernel: str
    day: str

    @property
    def said(self) -> str:
        """Backend, verdict, and of races the wins."""
        several = f" x{self.cases}" if self.cases > 1 else ""
        won = f" {self.wins}/{self.attempts}" if self.attempts > self.cases else ""
        return f"{self.backend} {self.verdict}{several}{won}"


def numbers(rows: Sequence[Row], _: Sequence[Campaign]) -> str:
    """The file, of the latest result of each case. Columns are the fields of Number."""
    latest: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.finished):
        latest[row.case_id] = row
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in latest.values():
        if row.attack:
            groups.setdefault((row.attack, row.backend, _verdict(row)), []).append(row)
    lines = [_MADE, "\t".join(field.name for field in fields(Number))]
    lines += ["\t".join(map(str, astuple(_added(groups[key])))) for key in sorted(groups)]
    return "\n".join(lines) + "\n"


def load_numbers(path: Path) -> Mapping[str, tuple[Number, ...]]:
    """The numbers of each attack that the file has; nothing without a file. Raises OSError."""
    if not path.exists():
        return {}
    found: dict[str, tuple[Number, ...]] = {}
    _, _, *lines = path.read_text(encoding="utf-8").splitlines()
    for line in lines:
        attack, backend, verdict, cases, wins, attempts, kernel, day = line.split("\t")
        number = Number(
            attack=attack,
            backend=backend,
            verdict=verdict,
            cases=int(cases),
            wins=int(wins),
            attempts=int(attempts),
            kernel=kernel,
            day=day,
        )
        found[attack] = (*found.get(attack, ()), number)
    return found


def in_words(found: Iterable[Number]) -> str:
    """One line for a page: where and when, and how each backend did; "" without numbers."""
    every = tuple(found)
    places = sorted({f"Linux {each.kernel}" for each in every if each.kernel})
    days = sorted({each.day for each in every})
    if not every:
        return ""
    when = ", ".join((*places, days[-1]))
    return f"{'; '.join(each.said for each in every)} ({when})"


def _verdict(row: Row) -> str:
    """With the class of a weakness that the scenario names, or that it is what it expects."""
    if row.leaky or row.verdict != VerdictKind.BYPASSED:
        return row.verdict
    if row.weakness:
        return f"{row.verdict} ({row.weakness})"
    return f"{row.verdict} (expected)" if row.expected == row.verdict else row.verdict


def _added(rows: Sequence[Row]) -> Number:
    last = rows[-1]
    return Number(
        attack=last.attack,
        backend=last.backend,
        verdict=_verdict(last),
        cases=len(rows),
        wins=sum(row.wins for row in rows),
        attempts=sum(row.attempts for row in rows),
        kernel=kernel_of(last),
        day=time.strftime("%Y-%m-%d", time.gmtime(last.finished)),
    )

"""Which defence stops which attack, as tables for people to cite: rates with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from harness.defences import SETTINGS, Line
from harness.model import Result, RunKind
from harness.odds import percent, win_rate_interval
from harness.report.matrix import SEVERITY, SHORT


def defences_table(found: Sequence[Line], mechanism: str) -> str:
    """One mechanism's table, in Markdown: a row for each attack, a column for each setting."""
    settings = [setting for setting in SETTINGS if setting.mechanism == mechanism]
    rows = [["attack", *(setting.label for setting in settings)]]
    rows.append(["---"] * len(rows[0]))
    for line in found:
        name = f"{line.attack.id} ({' '.join(line.attack.catalogue)})"
        rows.append([name, *(_cell(line.cells.get(setting, ())) for setting in settings)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{mechanism}:\n\n{table}\n"


def was_ended(result: Result) -> bool:
    """Whether the enforcer killed the target instead of refusing."""
    return any(seen.kind is RunKind.ATTACK and not seen.finished for seen in result.observations)


def _cell(results: Sequence[Result]) -> str:
    """Wins of attempts, the interval of their rate, and how long a win took on average; also of so
    few attempts that no verdict rests on them. Where attempts are not known, or one is enough, the
    worst verdict.
    """
    kinds = {result.verdict.kind for result in results}
    if not kinds:
        return "·"
    attempts = sum(result.verdict.attempts for result in results)
    wins = sum(result.verdict.wins for result in results)
    if not wins and any(map(was_ended, results)):
        return "ended"
    if attempts <= len(results) or not all(result.verdict.attempts for result in results):
        return SHORT[next(kind for kind in SEVERITY if kind in kinds)]
    low, high = win_rate_interval(attempts, wins)
    if not wins:
        return f"0/{attempts:,}, < {percent(high)}"
    seconds = sum(
        seen.seconds
        for result in results
        for seen in result.observations
        if seen.kind is RunKind.ATTACK
    )
    rate = f"{percent(low, upper=False)} to {percent(high)}"
    return f"{wins:,}/{attempts:,}, {rate}, {seconds / wins:.2g} s"

"""Which defence stops which attack, as tables for people to cite: rates with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from harness.defences import SETTINGS, Line
from harness.model import Result, RunKind, VerdictKind
from harness.odds import percent, win_rate_interval
from harness.report.matrix import SEVERITY, SHORT

_JUDGED = (VerdictKind.BYPASSED, VerdictKind.HELD, VerdictKind.UNLOGGED)


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
    """Wins of attempts, the interval of their rate, and how long a win took on average. The worst
    verdict alone where there is no rate: one attempt, no verdict, or a target that was killed.
    """
    kinds = {result.verdict.kind for result in results}
    if not kinds:
        return "·"
    attempts = sum(result.verdict.attempts for result in results)
    wins = sum(result.verdict.wins for result in results)
    is_ended = any(map(was_ended, results))
    if not kinds <= set(_JUDGED) or attempts <= len(results) or (is_ended and not wins):
        worst = SHORT[next(kind for kind in SEVERITY if kind in kinds)]
        return f"{worst}, ended" if is_ended else worst
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

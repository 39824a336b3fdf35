"""Which defence stops which attack, as tables for people to cite: rates with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from harness.bench.defences import Cost
from harness.defences import SETTINGS, Line, was_ended
from harness.model import Result, RunKind
from harness.odds import percent, win_rate_interval
from harness.report.matrix import SEVERITY, SHORT


def defences_table(found: Sequence[Line], mechanism: str, costs: Sequence[Cost] = ()) -> str:
    """One mechanism's table, in Markdown."""
    first, *rest = defences_rows(found, mechanism, costs)
    rows = [first, ["---"] * len(first), *rest]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{mechanism}:\n\n{table}\n"


def defences_rows(
    found: Sequence[Line], mechanism: str, costs: Sequence[Cost] = ()
) -> list[list[str]]:
    """The heads, a row for each attack with a cell for each setting, and a row for each of what was
    timed, in times of bare.
    """
    settings = [setting for setting in SETTINGS if setting.mechanism == mechanism]
    rows = [["attack", *(setting.label for setting in settings)]]
    for line in found:
        name = f"{line.attack.id} ({' '.join(line.attack.catalogue)})"
        rows.append([name, *(_cell(line.cells.get(setting, ())) for setting in settings)])
    for timed in dict.fromkeys(cost.row for cost in costs):
        of_it = {cost.setting: _cost(cost) for cost in costs if cost.row == timed}
        rows.append([f"{timed}, times bare", *(of_it.get(setting, "·") for setting in settings)])
    return rows


def _cost(cost: Cost) -> str:
    return f"{cost.median:.2f} ({cost.least:.2f} to {cost.most:.2f})"


def seconds_a_win(results: Sequence[Result]) -> float | None:
    """How long a win took on average, in the attack runs; None without one."""
    wins = sum(result.verdict.wins for result in results)
    seconds = sum(
        seen.seconds
        for result in results
        for seen in result.observations
        if seen.kind is RunKind.ATTACK
    )
    return seconds / wins if wins else None


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
    seconds = seconds_a_win(results)
    if seconds is None:
        return f"0/{attempts:,}, < {percent(high)}"
    rate = f"{percent(low, upper=False)} to {percent(high)}"
    return f"{wins:,}/{attempts:,}, {rate}, {seconds:.2g} s"

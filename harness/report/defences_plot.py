"""The table of defences as a page: win rates with their intervals, and what each setting costs.

The drawing is SVG within the page, in the colours of its style, so that it is readable in light and
dark; nothing comes from any network. Rates are on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.bench.defences import Cost
from harness.defences import MECHANISMS, SETTINGS, Line, Setting, was_ended
from harness.model import Result
from harness.odds import percent, win_rate_interval
from harness.report.defences import defences_rows
from harness.report.matrix import Tone

LABELS, WIDTH, ROW, HEAD = 190, 560, 15, 20
"""Pixels: the names at the left, the scale, the height of one setting, that of an attack's name."""
LEAST_RATE = 1e-4
TICKS = {1e-4: "0.01%", 1e-3: "0.1%", 1e-2: "1%", 1e-1: "10%", 1.0: "100%"}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One setting: a line from `low` to `high`, a dot at `at` (None: no win, only a bound)."""

    label: str
    y: int
    tone: Tone
    said: str
    low: float | None = None
    at: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """One attack, or one thing that was timed, with its settings below its name at `y`."""

    title: str
    y: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Groups below each other over one scale: `ticks` are places with their texts."""

    title: str
    height: int
    groups: tuple[Group, ...]
    ticks: tuple[tuple[float, str], ...]


def defences_page(found: Mapping[str, Sequence[Line]], costs: Sequence[Cost], title: str) -> str:
    """The page, of the lines of each mechanism; `costs` may be none."""
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [name for name in MECHANISMS if found.get(name)]
    mine = {name: [cost for cost in costs if cost.setting.mechanism == name] for name in shown}
    return environment.get_template("defences.html").render(
        title=title,
        width=LABELS + WIDTH + 20,
        left=LABELS,
        plots=[
            plot
            for name in shown
            for plot in (rates_plot(found[name], name), *costs_plots(mine[name], name))
        ],
        tables=[(name, defences_rows(found[name], name, mine[name])) for name in shown],
    )


def rates_plot(found: Sequence[Line], mechanism: str) -> Plot:
    """A group for each attack: the rate of wins under every setting."""
    settings = [setting for setting in SETTINGS if setting.mechanism == mechanism]
    groups: list[Group] = []
    y = HEAD
    for line in found:
        marks = tuple(
            _rate(setting, line.cells.get(setting, ()), y + HEAD + number * ROW)
            for number, setting in enumerate(settings)
        )
        name = f"{line.attack.id} ({' '.join(line.attack.catalogue)})"
        groups.append(Group(title=name, y=y, marks=marks))
        y += HEAD + len(settings) * ROW + ROW
    return Plot(
        title=f"{mechanism}: wins of attempts, with the 95 % interval",
        height=y,
        groups=tuple(groups),
        ticks=tuple((_rate_x(rate), text) for rate, text in TICKS.items()),
    )


def costs_plots(found: Sequence[Cost], mechanism: str) -> list[Plot]:
    """One with a group for each row that was timed; none without."""
    if not found:
        return []
    settings = [setting for setting in SETTINGS if setting.mechanism == mechanism]
    most = max(cost.most for cost in found)
    groups: list[Group] = []
    y = HEAD
    for row in dict.fromkeys(cost.row for cost in found):
        of_it = {cost.setting: cost for cost in found if cost.row == row}
        marks = tuple(
            _cost(of_it[setting], y + HEAD + number * ROW, most)
            for number, setting in enumerate(settings)
            if setting in of_it
        )
        groups.append(Group(title=row, y=y, marks=marks))
        y += HEAD + len(settings) * ROW + ROW
    steps = [most * part / 4 for part in range(5)]
    return [
        Plot(
            title=f"{mechanism}: what it costs, in times of bare (median, least and most)",
            height=y,
            groups=tuple(groups),
            ticks=tuple((_cost_x(step, most), f"{step:.1f}") for step in steps),
        )
    ]


def _rate(setting: Setting, results: Sequence[Result], y: int) -> Mark:
    attempts = sum(result.verdict.attempts for result in results)
    wins = sum(result.verdict.wins for result in results)
    if not wins and any(map(was_ended, results)):
        return Mark(label=setting.label, y=y, tone=Tone.KNOWN, said="the target was ended")
    if not attempts:
        return Mark(label=setting.label, y=y, tone=Tone.QUIET, said="not known")
    low, high = win_rate_interval(attempts, wins)
    said = f"{wins:,} of {attempts:,}: {percent(low, upper=False)} to {percent(high)}"
    return Mark(
        label=setting.label,
        y=y,
        tone=Tone.BAD if wins else Tone.GOOD,
        said=said if wins else f"none of {attempts:,}: below {percent(high)}",
        low=_rate_x(low),
        at=_rate_x(wins / attempts) if wins else None,
        high=_rate_x(high),
    )


def _cost(cost: Cost, y: int, most: float) -> Mark:
    return Mark(
        label=cost.setting.label,
        y=y,
        tone=Tone.QUIET,
        said=f"{cost.median:.2f} times bare ({cost.least:.2f} to {cost.most:.2f})",
        low=_cost_x(cost.least, most),
        at=_cost_x(cost.median, most),
        high=_cost_x(cost.most, most),
    )


def _rate_x(rate: float) -> float:
    share = 1 - math.log(max(rate, LEAST_RATE)) / math.log(LEAST_RATE)
    return round(LABELS + WIDTH * share, 1)


def _cost_x(ratio: float, most: float) -> float:
    return round(LABELS + WIDTH * ratio / most, 1)

"""What each setting of the defences costs: open+close of one name, and a build, over bare."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.bench.measure import WITH, Measurement, Size, measure
from harness.bench.rows import OPEN_CLOSE
from harness.defences import Setting
from harness.scratch import Scratch

BARE = "none"
SIZE = Size(count=2000, names=1, files=20, tries=3)
BUILD = "make"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How many times as long as bare a row takes: the median of the turns, the least, the most."""

    setting: Setting
    row: str
    median: float
    least: float
    most: float


def costs(settings: Sequence[Setting], size: Size = SIZE) -> Iterator[Cost]:
    """Of both rows under every setting, a row's together. Raises BenchError, BuildError."""
    names = {_called(setting): setting for setting in settings}
    with Scratch() as scratch:
        directory = scratch.resolve()
        directory.chmod(0o755)
        row: dict[str, Measurement] = {}
        for each in measure(directory, (BARE, *names), size, (OPEN_CLOSE, BUILD)):
            row[each.backend] = each
            if each.row != OPEN_CLOSE and not each.row.startswith(BUILD):
                continue  # the same call over many names
            if each.backend in names and (ratios := each.ratios(row[BARE])):
                yield Cost(
                    setting=names[each.backend],
                    row=each.row,
                    median=statistics.median(ratios),
                    least=min(ratios),
                    most=max(ratios),
                )


def _called(setting: Setting) -> str:
    """As `measure` knows a mechanism with defences."""
    return f"{setting.mechanism}{WITH}{','.join(sorted(setting.on))}"

"""Where results come from, for every report: date, tree, machine and isolation."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from harness.results import Campaign, Row


def origin(campaign: Campaign) -> tuple[tuple[str, str], ...]:
    """Names and values, in their order."""
    started = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(campaign.started))
    if campaign.finished is None:
        started += ", not finished"
    else:
        started += f", {campaign.finished - campaign.started:.0f} s"
    return (
        ("campaign", f"{campaign.id}, {started}"),
        ("tree", f"{campaign.root}, {campaign.tree}"),
        ("machine", campaign.machine),
    )


def isolations(rows: Iterable[Row]) -> str:
    """How the runs were walled in, with the number of cases; the others had no run."""
    counts = Counter(row.isolation for row in rows if row.isolation)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())) or "no runs"

"""Where results come from, for every report: date, tree, machine, versions and isolation."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from enforcer.events import EventKind
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


def seen(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """What the runs themselves told, with the number of cases: kernels, the versions of others'
    sandboxes, and how runs were walled in. The version of our own mechanisms is the tree's.
    """
    kernels = _counted(f"Linux {kernel_of(row)} ({row.place})" for row in rows if kernel_of(row))
    versions = _counted(f"{row.backend}: {version_of(row)}" for row in rows if version_of(row))
    walls = _counted(row.isolation for row in rows if row.isolation)
    found = (("kernels", kernels), ("versions", versions), ("isolation", walls or "no runs"))
    return tuple((name, value) for name, value in found if value)


def version_of(row: Row) -> str:
    """What the backend said of its version when it was started; "" where none is known."""
    return _told(row, "version")


def kernel_of(row: Row) -> str:
    """The whole release of the kernel that the runs were made on; "" where there was no run."""
    return _told(row, "kernel")


def _told(row: Row, key: str) -> str:
    for observation in row.observations:
        for event in cast("Sequence[Mapping[str, object]]", observation["events"]):
            if event.get("event") == EventKind.START and key in event:
                return str(event[key])
    return ""


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(Counter(names).items()))

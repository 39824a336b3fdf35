"""What of a policy is lost where something coarser than its rules enforces it, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from enforcer.mechanisms.contract import Cover, Extent

TOO_MUCH_PERMITTED = "permits too much"
TOO_MUCH_DENIED = "denies too much"
OTHER_ERRNO = "denies with another errno"
_WORST_FIRST = (TOO_MUCH_PERMITTED, TOO_MUCH_DENIED, OTHER_ERRNO)

_NAMED = 4


@dataclass
class Notes:
    """What is lost, per rule (None: the default)."""

    lost: dict[int | None, list[tuple[Extent, str, str]]] = field(default_factory=dict)

    def add(self, rule: int | None, extent: Extent, errs: str, reason: str) -> None:
        """One loss; the same is kept once."""
        entry = (extent, errs, reason)
        entries = self.lost.setdefault(rule, [])
        if entry not in entries:
            entries.append(entry)

    def cover(self, rule: int | None) -> Cover:
        """All losses of a rule as one Cover; permitting too much is the worst direction."""
        entries = self.lost.get(rule, [])
        if not entries:
            return Cover(rule=rule, extent=Extent.FULL)
        extents = {extent for extent, _, _ in entries}
        directions = {errs for _, errs, _ in entries}
        return Cover(
            rule=rule,
            extent=Extent.NONE if Extent.NONE in extents else Extent.PARTIAL,
            reason="; ".join(reason for _, _, reason in entries),
            errs=min(directions, key=_WORST_FIRST.index),
        )


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")

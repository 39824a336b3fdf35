"""The catalogue with its state here: which attack shows which class, and why some have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.attack import Attack
from harness.catalogue import Entry

GROUPS = {
    "A": "arguments in the target's memory",
    "B": "names, directories, links, mounts",
    "C": "the interface is wider than the filter",
    "D": "the machinery of enforcement",
}
HEAD = """\
# Coverage of the catalogue

Made from [catalogue.yaml](catalogue.yaml) and the attacks' manifests by
`harness list --catalogue --markdown`. A star marks the classes to demonstrate first;
`harness explain B10` tells all of a class.
"""


class State(StrEnum):
    """How far a class is demonstrated here."""

    ATTACKED = "attacked"
    WITHOUT = "without"
    OPEN = "open"


@dataclass(frozen=True, kw_only=True)
class Covered:
    """A class and the attacks that show it."""

    entry: Entry
    attacks: tuple[Attack, ...]

    @property
    def state(self) -> State:
        if self.attacks:
            return State.ATTACKED
        return State.WITHOUT if self.entry.without else State.OPEN

    @property
    def said(self) -> str:
        """The state in words: the attacks, or the reason and its evidence."""
        if self.attacks:
            return ", ".join(attack.id for attack in self.attacks)
        without = self.entry.without
        return f"none: {without.reason} ({without.evidence})" if without else State.OPEN.value


def covered(catalogue: Mapping[str, Entry], attacks: Iterable[Attack]) -> tuple[Covered, ...]:
    """Every class, in the catalogue's order."""
    found: dict[str, list[Attack]] = {id: [] for id in catalogue}
    for attack in attacks:
        for id in attack.every_class:
            found[id].append(attack)
    return tuple(Covered(entry=entry, attacks=tuple(found[id])) for id, entry in catalogue.items())


def summary(classes: Iterable[Covered]) -> str:
    """How many are attacked, in one line."""
    every = tuple(classes)
    attacked = [each.entry for each in every if each.state is State.ATTACKED]
    starred = sum(each.entry.starred for each in every)
    of_these = f"of the {starred} starred ones {sum(entry.starred for entry in attacked)}"
    return f"{len(attacked)} of {len(every)} classes have attacks, {of_these}."


def coverage(classes: Iterable[Covered]) -> str:
    """The page attacks/COVERAGE.md, in Markdown."""
    every = tuple(classes)
    lines = [HEAD, summary(every)]
    group = ""
    for each in every:
        if each.entry.id[0] != group:
            group = each.entry.id[0]
            lines += ["", f"## {group}: {GROUPS.get(group, 'more')}", ""]
            lines += ["| id | class | attacks here |", "|---|---|---|"]
        star = " ★" if each.entry.starred else ""
        links = ", ".join(f"[{attack.id}]({attack.id}.c)" for attack in each.attacks)
        said = links or each.said.replace("|", "\\|")
        lines.append(f"| {each.entry.id}{star} | {each.entry.name} | {said} |")
    return "\n".join(lines) + "\n"

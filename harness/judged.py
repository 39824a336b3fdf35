"""Which cases have to be judged: a list of what may be inapplicable, by kind of machine.

A case that turns inapplicable proves nothing any more, and nobody is told; where the list is given
(`--require-judged`), whatever it does not name has to have a verdict.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from enforcer.policy.problem import Problem, suggestion
from harness.model import VerdictKind
from harness.nodes import MappingFile, NotUtf8
from harness.results import Row

KEY = "inapplicable"
FIELDS = ("on", "cases", "because")


class JudgedError(Exception):
    """All mistakes of the list."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True, kw_only=True)
class Excuse:
    """What may be inapplicable: `cases` (a pattern of ids) on a kind of machine (`on`: a pattern
    of PLACE/ISOLATION), while the reason has the text `because`.
    """

    on: str
    cases: str
    because: str

    def covers(self, row: Row) -> bool:
        return (
            fnmatch.fnmatchcase(machine_of(row), self.on)
            and fnmatch.fnmatchcase(row.case_id.replace("[", "("), self.cases.replace("[", "("))
            and self.because in row.reason
        )


def machine_of(row: Row) -> str:
    """The kind of machine of a result: its place and how its runs were walled in."""
    return f"{row.place}/{row.isolation}"


def nothing_judged(rows: Iterable[Row]) -> bool:
    """Whether no case of a run says anything about an enforcer."""
    return all(row.verdict == VerdictKind.INAPPLICABLE for row in rows)


def unexcused(rows: Iterable[Row], excuses: Sequence[Excuse]) -> list[Row]:
    """The inapplicable results that no excuse covers."""
    return [
        row
        for row in rows
        if row.verdict == VerdictKind.INAPPLICABLE
        and not any(excuse.covers(row) for excuse in excuses)
    ]


def load_excuses(path: Path) -> tuple[Excuse, ...]:
    """The list of a file. Raises JudgedError with every mistake, OSError."""
    try:
        file = MappingFile(path, (KEY,), what="list", first_key=KEY)
    except NotUtf8 as error:
        raise JudgedError([error.problem]) from None
    node = file.node(KEY)
    found: list[Excuse] = []
    if file.nodes is not None and not isinstance(node, yaml.SequenceNode):
        file.note(node, f"`{KEY}` is not a list", "write `- {on: ..., cases: ..., because: ...}`")
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        excuse = _excuse(file, item)
        if excuse is not None:
            found.append(excuse)
    if file.problems.found:
        raise JudgedError(file.problems.found)
    return tuple(found)


def _excuse(file: MappingFile, item: yaml.Node) -> Excuse | None:
    if not isinstance(item, yaml.MappingNode):
        file.note(item, "an entry is not a mapping", "write {on: ..., cases: ..., because: ...}")
        return None
    values: dict[str, str] = {}
    for word, value in item.value:
        key = str(word.value)
        if key not in FIELDS:
            mend = suggestion(key, FIELDS) or "known: " + ", ".join(FIELDS)
            file.note(word, f"unknown key {key!r}", mend)
        else:
            values[key] = file.scalar(value, key)
    missing = [name for name in FIELDS if not values.get(name)]
    if missing:
        file.note(item, f"`{missing[0]}` is missing", f"add `{missing[0]}: ...`")
        return None
    return Excuse(**values)

"""The catalogue of publicly known classes of failure: `attacks/catalogue.yaml` -> frozen values.

It is ours alone: attacks and scenarios of other trees cite the same ids.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from enforcer.policy.problem import Problem, suggestion
from harness import tree
from harness.nodes import MappingFile, NotUtf8

ID = re.compile(r"([A-Z])([1-9][0-9]*)")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REQUIRED = ("name", "claim", "falls", "holds", "oracle", "determinism", "sources")
_KEYS = (*_REQUIRED, "starred", "needs", "without")
_WITHOUT = ("reason", "evidence")


@dataclass(frozen=True, kw_only=True)
class Without:
    """Why no attack here shows a class, and what that rests on."""

    reason: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One class of failure. `starred` ones are to be demonstrated first; the words of `falls`,
    `holds`, `oracle` and `determinism` are explained at the file's top. `needs` is "" where any
    Linux and user serves.
    """

    id: str
    name: str
    starred: bool
    claim: str
    falls: str
    holds: str
    oracle: str
    needs: str
    determinism: str
    sources: tuple[str, ...]
    without: Without | None = None


class CatalogueError(Exception):
    """All mistakes of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@functools.cache
def catalogue() -> Mapping[str, Entry]:
    """The classes by id, in their order. Raises CatalogueError."""
    return load_catalogue(tree.OWN / "attacks" / "catalogue.yaml")


def load_catalogue(path: Path) -> Mapping[str, Entry]:
    """The classes that `path` holds. Raises CatalogueError with every mistake."""
    try:
        return _Reader(path).entries()
    except NotUtf8 as error:
        raise CatalogueError([error.problem]) from None


def order(id: str) -> tuple[str, int]:
    """What puts ids in their order: A2 comes before A10."""
    group, number = id[:1], id[1:]
    return group, int(number)


def named(ids: Iterable[str]) -> list[str]:
    """Id and name of each, for reports; of stored results that cite what is newer, the id alone."""
    known = catalogue()
    return [f"{id} {known[id].name}" if id in known else id for id in ids]


class _Reader(MappingFile):
    """The file while it is read: notes every mistake, raises at the end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, None, what="catalogue", first_key="A1")

    def entries(self) -> Mapping[str, Entry]:
        found: dict[str, Entry] = {}
        names: dict[str, str] = {}
        last: dict[str, int] = {}
        for word, node in (self.nodes or {}).items():
            self._check_id(node, word, last)
            entry = self._entry(word, node)
            if entry.name in names:
                wrong = f"{names[entry.name]} has the name {entry.name!r}, too"
                self.note(node, wrong, "a class has one entry")
            names[entry.name] = word
            found[word] = entry
        if self.problems.found:
            raise CatalogueError(self.problems.found)
        return found

    def _check_id(self, node: yaml.Node, word: str, last: dict[str, int]) -> None:
        """Ids count up, so that none is given anew to something else."""
        parts = ID.fullmatch(word)
        if parts is None:
            self.note(node, f"{word!r} is not an id", "write a group's letter and a number, as B10")
            return
        group, number = parts[1], int(parts[2])
        if number != last.get(group, 0) + 1:
            mend = f"the next id of its group is {group}{last.get(group, 0) + 1}"
            self.note(node, f"{word} is out of order", mend)
        last[group] = number

    def _entry(self, id: str, node: yaml.Node) -> Entry:
        fields = self._fields(node, _KEYS, f"of {id}")
        for word in _REQUIRED:
            if word not in fields:
                self.note(node, f"{id} lacks {word!r}", f"add a line `{word}: ...`")
        starred = self._text(fields, "starred")
        if starred not in ("", "true"):
            self.note(fields["starred"], f"{starred!r} is no mark", "write `starred: true`")
        name = self._text(fields, "name")
        if "name" in fields and not _NAME.fullmatch(name):
            self.note(
                fields["name"], f"{name!r} is not a name", "write lower case words joined by '-'"
            )
        return Entry(
            id=id,
            name=name,
            starred=bool(starred),
            claim=self._text(fields, "claim"),
            falls=self._text(fields, "falls"),
            holds=self._text(fields, "holds"),
            oracle=self._text(fields, "oracle"),
            needs=self._text(fields, "needs"),
            determinism=self._text(fields, "determinism"),
            sources=self.texts_of(fields.get("sources"), "sources"),
            without=self._without(id, fields.get("without")),
        )

    def _without(self, id: str, node: yaml.Node | None) -> Without | None:
        if node is None:
            return None
        fields = self._fields(node, _WITHOUT, f"of {id}'s `without`")
        for word in _WITHOUT:
            if not self._text(fields, word):
                self.note(node, f"{id} is without an attack, but lacks {word!r}", "say it")
        return Without(**{word: self._text(fields, word) for word in _WITHOUT})

    def _fields(self, node: yaml.Node, keys: Iterable[str], whose: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self.note(node, f"the value {whose} is not a mapping", "write `key: value` lines")
            return {}
        known = tuple(keys)
        for key, _ in node.value:
            if key.value not in known:
                mend = suggestion(str(key.value), known) or "known: " + ", ".join(known)
                self.note(key, f"unknown key {key.value!r} {whose}", mend)
        return {str(key.value): value for key, value in node.value}

    def _text(self, fields: Mapping[str, yaml.Node], key: str) -> str:
        return self.scalar(fields[key], key) if key in fields else ""

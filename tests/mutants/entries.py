"""`tests/mutants/AREA.yaml` -> frozen values. Every mistake of every file is reported at once."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from enforcer.policy.problem import Problem, suggestion
from harness.nodes import MappingFile, NotUtf8

_KEYS = ("area", "mutants", "equivalents")
_CHANGE = ("file", "old", "new")
_MUTANT = (*_CHANGE, "why", "tests")
_EQUIVALENT = (*_CHANGE, "reason")


@dataclass(frozen=True, kw_only=True)
class Change:
    """`old`, which stands once in `file` (relative to the tree), becomes `new`.

    `line` is the first one that differs.
    """

    file: Path
    old: str
    new: str
    line: int

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A mistake that one of `tests` (files or node ids) must notice, and why it matters.

    With `hangs`, tests that do not come to an end have noticed it, too.
    """

    area: str
    change: Change
    why: str
    tests: tuple[str, ...]
    hangs: bool


@dataclass(frozen=True, kw_only=True)
class Equivalent:
    """A change that nothing can notice, with the reason."""

    change: Change
    reason: str


@dataclass(frozen=True, kw_only=True)
class Area:
    """What one file holds."""

    name: str
    mutants: tuple[Mutant, ...]
    equivalents: tuple[Equivalent, ...]


class EntryError(Exception):
    """All mistakes found in the files that were loaded, as file:line:column."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def load_areas(root: Path) -> dict[str, Area]:
    """Every area of the tree at `root`, by name. Raises EntryError."""
    areas: dict[str, Area] = {}
    problems: list[Problem] = []
    taken: dict[tuple[str, str, str], str] = {}
    for path in sorted((root / "tests" / "mutants").glob("*.yaml")):
        try:
            reader = _Reader(path, root, taken)
        except NotUtf8 as error:
            problems.append(error.problem)
            continue
        areas[path.stem] = reader.area()
        problems += reader.problems.found
    if problems:
        raise EntryError(problems)
    return areas


class _Reader(MappingFile):
    """One file while it is read. `taken` says where each change already stands."""

    def __init__(self, path: Path, root: Path, taken: dict[tuple[str, str, str], str]) -> None:
        super().__init__(path, _KEYS, what="file of mutants", first_key="area")
        self._root = root
        self._taken = taken

    def area(self) -> Area:
        if self.nodes is not None and self.text("area") != self.path.stem:
            self.note(self.node("area"), "the area is not the file's name", "write it so")
        mutants = [self._mutant(item) for item in self._items("mutants")]
        equivalents = [self._equivalent(item) for item in self._items("equivalents")]
        return Area(
            name=self.path.stem,
            mutants=tuple(each for each in mutants if each),
            equivalents=tuple(each for each in equivalents if each),
        )

    def _items(self, key: str) -> Sequence[yaml.Node]:
        node = self.node(key)
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.note(node, f"{key!r} is not a list", "begin each entry with `- file: ...`")
            return ()
        return tuple(node.value)

    def _mutant(self, item: yaml.Node) -> Mutant | None:
        values = self._entry(item, _MUTANT, optional=("hangs",))
        change = self._change(item, values)
        tests = self.texts_of(values.get("tests"), "tests", self._check_test)
        if "tests" in values and not tests:
            self.note(values["tests"], "no tests", "name the tests that must fail")
        why = self._line(values, "why")
        hangs = self.scalar(values["hangs"], "hangs") if "hangs" in values else "false"
        if hangs not in ("true", "false"):
            self.note(values["hangs"], f"{hangs!r} is neither true nor false", "write one of them")
        if change is None:
            return None
        area = self.path.stem
        return Mutant(area=area, change=change, why=why, tests=tests, hangs=hangs == "true")

    def _equivalent(self, item: yaml.Node) -> Equivalent | None:
        values = self._entry(item, _EQUIVALENT)
        change = self._change(item, values)
        reason = self._line(values, "reason")
        return None if change is None else Equivalent(change=change, reason=reason)

    def _entry(
        self, item: yaml.Node, required: Sequence[str], optional: Sequence[str] = ()
    ) -> dict[str, yaml.Node]:
        """The values of one entry by key."""
        values: dict[str, yaml.Node] = {}
        if not isinstance(item, yaml.MappingNode):
            self.note(item, "an entry is a mapping", "begin it with `- file: ...`")
            return values
        known = (*required, *optional)
        for key, value in item.value:
            word = str(key.value)
            if word not in known:
                self.note(key, f"unknown key {word!r}", suggestion(word, known) or "leave it out")
            elif word in values:
                self.note(key, f"{word!r} is given twice", "leave one out")
            else:
                values[word] = value
        for missing in (word for word in required if word not in values):
            self.note(item, f"{missing!r} is missing", f"write `{missing}: ...`")
        return values

    def _line(self, values: dict[str, yaml.Node], key: str) -> str:
        """A text that is there and not empty."""
        node = values.get(key)
        if node is None:
            return ""
        text = self.scalar(node, key)
        if not text.strip():
            self.note(node, f"{key!r} is empty", "write one line")
        return text

    def _change(self, item: yaml.Node, values: dict[str, yaml.Node]) -> Change | None:
        if any(key not in values for key in _CHANGE):
            return None
        file, old, new = (self.scalar(values[key], key) for key in _CHANGE)
        inside = (self._root / file).resolve().is_relative_to(self._root.resolve())
        text = _content(self._root / file) if inside else None
        if text is None:
            self.note(values["file"], f"there is no file {file!r}", "name one of the tree")
            return None
        if old == new:
            self.note(values["new"], "`new` is `old`", "change something")
        found = text.count(old)
        if not old or found != 1:
            said = f"`old` stands {found} times in {file}" if old else "`old` is empty"
            self.note(values["old"], said, "give text that stands there exactly once")
            return None
        place = f"{self.path.name}:{item.start_mark.line + 1}"
        before = self._taken.setdefault((file, old, new), place)
        if before != place:
            self.note(item, f"the same change stands at {before}", "leave one out")
        start = text.index(old) + _common(old, new)
        line = text.count("\n", 0, start) + 1
        return Change(file=Path(file), old=old, new=new, line=line)

    def _check_test(self, node: yaml.Node, test: str) -> None:
        file, *names = test.partition("[")[0].split("::")
        defined = _defined(self._root / file)
        if defined is None:
            self.note(node, f"there is no test file {file!r}", "name one of the tree")
        elif names and "::".join(names) not in defined:
            mend = suggestion("::".join(names), defined) or "name one of the file"
            self.note(node, f"{file} has no test {'::'.join(names)!r}", mend)


def _common(old: str, new: str) -> int:
    """How many characters at the beginning of `old` a change to `new` leaves alone."""
    for index, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return index
    return min(len(old), len(new))


@cache
def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


@cache
def _defined(path: Path) -> frozenset[str] | None:
    """Functions, classes and their methods of a test file as node ids spell them."""
    text = _content(path) if path.suffix == ".py" else None
    if text is None:
        return None
    names: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (each for each in node.body if isinstance(each, ast.FunctionDef))
            names.update(f"{node.name}::{each.name}" for each in methods)
    return frozenset(names)

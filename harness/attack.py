"""Attack manifests: `attacks/CLASS/NAME.yaml` beside `NAME.c` -> frozen `Attack` values.

Every mistake of every manifest is reported at once, as file:line:column with its mend.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import yaml

from enforcer.arch import ABIS
from enforcer.policy.ast import Position
from enforcer.policy.problem import Problem, Problems, suggestion
from harness.model import Effect

CATALOGUE = {"A": 18, "B": 23, "C": 32, "D": 36}
"""Groups of the attack catalogue and the number of entries of each."""

_REQUIRED = (
    "name",
    "title",
    "catalogue",
    "effect",
    "kind",
    "abis",
    "sentinel",
    "direct_call",
    "source",
)
_OPTIONAL = ("variants", "attempts", "needs")
_RACE_ATTEMPTS = {"default": 20_000, "quick": 2_000}
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_Member = TypeVar("_Member", bound=StrEnum)


class AttackClass(StrEnum):
    """Garfinkel's five (NDSS 2003), and two more; each is a directory of attacks."""

    REPLICATION = "replication"
    INDIRECT = "indirect"
    RACE = "race"
    SUBSET = "subset"
    DENIAL = "denial"
    ABI = "abi"
    MACHINERY = "machinery"


class AttackKind(StrEnum):
    """Whether one attempt is enough."""

    RACE = "race"
    DETERMINISTIC = "deterministic"


class SentinelKind(StrEnum):
    """What the denied object is; its permitted twin is of the same kind.

    FILE: `denied=PATH` and `allowed=PATH` name regular files. PORT: `port=N` and
    `allowed_port=N` name TCP ports of 127.0.0.1 on which the harness listens. DIR, TTY: paths.
    """

    FILE = "file"
    DIR = "dir"
    PORT = "port"
    TTY = "tty"


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """How often a race is tried, by default and in a quick run; 1 for deterministic attacks."""

    default: int = 1
    quick: int = 1


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One C program and what is known of it.

    `id` is CLASS/NAME. `needs` are kernel features without which it means nothing. `direct_call`
    is the call that its direct attempt makes and that a log must show.
    """

    id: str
    name: str
    title: str
    attack_class: AttackClass
    catalogue: tuple[str, ...]
    effect: Effect
    kind: AttackKind
    sentinel: SentinelKind
    abis: tuple[str, ...]
    variants: tuple[str, ...] = ("default",)
    attempts: Attempts = field(default_factory=Attempts)
    needs: tuple[str, ...] = ()
    direct_call: str
    source: tuple[str, ...]
    program: Path
    manifest: Path


class ManifestError(Exception):
    """All mistakes found in the manifests that were loaded."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def load_attacks(root: Path) -> Mapping[str, Attack]:
    """All attacks under `root` by id, sorted. Raises ManifestError with every mistake."""
    attacks: dict[str, Attack] = {}
    problems: list[Problem] = []
    for path in sorted(root.glob("*/*.yaml")):
        try:
            attack = load_attack(path)
        except ManifestError as error:
            problems.extend(error.problems)
        else:
            attacks[attack.id] = attack
    for program in sorted(root.glob("*/*.c")):
        manifest = program.with_suffix(".yaml")
        if not manifest.exists():
            problems.append(
                Problem(
                    source=str(program),
                    line=1,
                    column=1,
                    message="this attack has no manifest",
                    mend=f"write {manifest.name} beside it",
                )
            )
    if problems:
        raise ManifestError(problems)
    return attacks


def load_attack(path: Path) -> Attack:
    """The attack described by the manifest `path`. Raises ManifestError."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        problem = Problem(source=str(path), line=1, column=1, message="the file is not UTF-8")
        raise ManifestError([problem]) from None
    return _Reader(path, text).attack()


class _Reader:
    """One manifest while it is read: notes every mistake, raises at the end."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.problems = Problems(str(path), text)
        self.fields = self._fields(text)

    def attack(self) -> Attack:
        name = self._text("name")
        if name != self.path.stem or not _NAME.fullmatch(name):
            self._note("name", f"the name is {name!r}", f"write {self.path.stem!r} in lower case")
        program = self.path.with_suffix(".c")
        if not program.exists():
            self._note(None, f"{program.name} does not exist", "write it beside this file")
        directory = self.path.parent.name
        if directory not in list(AttackClass):
            self._note(None, f"{directory!r} is no class of attacks", _one_of(AttackClass))
        kind = self._member("kind", AttackKind)
        effect = self._member("effect", Effect)
        sentinel = self._member("sentinel", SentinelKind)
        abis = self._texts("abis", _check_abi)
        catalogue = self._texts("catalogue", _check_catalogue_id)
        title, direct_call = self._text("title"), self._text("direct_call")
        source, needs = self._texts("source"), self._texts("needs")
        variants = self._texts("variants") or ("default",)
        attempts = self._attempts(kind)
        if self.problems.found or kind is None or effect is None or sentinel is None:
            raise ManifestError(self.problems.found)
        return Attack(
            id=f"{directory}/{name}",
            name=name,
            title=title,
            attack_class=AttackClass(directory),
            catalogue=catalogue,
            effect=effect,
            kind=kind,
            sentinel=sentinel,
            abis=abis,
            variants=variants,
            attempts=attempts,
            needs=needs,
            direct_call=direct_call,
            source=source,
            program=program,
            manifest=self.path,
        )

    def _fields(self, text: str) -> dict[str, yaml.Node]:
        """The values by key; raises at once when the text is no mapping."""
        try:
            top = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Position(mark.line + 1, mark.column + 1) if mark else None
            self.problems.add(place, f"not YAML: {error.problem or error.context}")
            raise ManifestError(self.problems.found) from None
        except yaml.YAMLError as error:
            self.problems.add(None, f"not YAML: {error}")
            raise ManifestError(self.problems.found) from None
        if not isinstance(top, yaml.MappingNode):
            self.problems.add(None, "a manifest is a mapping", "write `name: ...` lines")
            raise ManifestError(self.problems.found)
        fields: dict[str, yaml.Node] = {}
        known = (*_REQUIRED, *_OPTIONAL)
        for key, value in top.value:
            word = str(key.value)
            if word not in known:
                self._note(key, f"unknown key {word!r}", suggestion(word, known) or "leave it out")
            elif word in fields:
                self._note(key, f"{word!r} is given twice", "leave one out")
            else:
                fields[word] = value
        for word in _REQUIRED:
            if word not in fields:
                self.problems.add(None, f"{word!r} is missing", f"add a line `{word}: ...`")
        return fields

    def _note(self, where: yaml.Node | str | None, message: str, mend: str) -> None:
        node = self.fields.get(where) if isinstance(where, str) else where
        place = None
        if node is not None:
            start, end = node.start_mark, node.end_mark
            length = end.column - start.column if end.line == start.line else 1
            place = Position(start.line + 1, start.column + 1, length)
        self.problems.add(place, message, mend)

    def _scalar(self, node: yaml.Node, key: str) -> str:
        """The text of a node, "" after noting that it is none."""
        if isinstance(node, yaml.ScalarNode) and node.value:
            return str(node.value)
        self._note(node, f"a value of {key!r} is not a text", "write one line of text")
        return ""

    def _text(self, key: str) -> str:
        return self._scalar(self.fields[key], key) if key in self.fields else ""

    def _texts(
        self, key: str, check: Callable[[str], tuple[str, str] | None] | None = None
    ) -> tuple[str, ...]:
        node = self.fields.get(key)
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._note(node, f"{key!r} is not a list", "write [first, second]")
            return ()
        texts: list[str] = []
        for item in node.value:
            text = self._scalar(item, key)
            wrong = check(text) if check is not None and text else None
            if wrong is not None:
                self._note(item, *wrong)
            elif text in texts:
                self._note(item, f"{text!r} is given twice", "leave one out")
            texts.append(text)
        return tuple(texts)

    def _member(self, key: str, kind: type[_Member]) -> _Member | None:
        word = self._text(key)
        if not word:
            return None
        if word in list(kind):
            return kind(word)
        self._note(key, f"{word!r} is no {key}", suggestion(word, kind) or _one_of(kind))
        return None

    def _attempts(self, kind: AttackKind | None) -> Attempts:
        counts = dict(_RACE_ATTEMPTS) if kind is AttackKind.RACE else {}
        node = self.fields.get("attempts")
        if node is None:
            return Attempts(**counts)
        if kind is not AttackKind.RACE or not isinstance(node, yaml.MappingNode):
            self._note(node, "`attempts` is for races", "write {default: N, quick: N} there only")
            return Attempts()
        for key, value in node.value:
            if key.value not in _RACE_ATTEMPTS:
                self._note(key, f"unknown key {key.value!r}", "write {default: N, quick: N}")
            elif not str(value.value).isdecimal() or int(value.value) < 1:
                self._note(value, f"{value.value!r} is no count", "write a whole number above 0")
            else:
                counts[key.value] = int(value.value)
        return Attempts(**counts)


def _check_abi(text: str) -> tuple[str, str] | None:
    if text in ABIS:
        return None
    return f"{text!r} is no ABI", suggestion(text, ABIS) or _one_of(ABIS)


def _check_catalogue_id(text: str) -> tuple[str, str] | None:
    group, number = text[:1], text[1:]
    if number.isdecimal() and 1 <= int(number) <= CATALOGUE.get(group, 0):
        return None
    ranges = ", ".join(f"{group}1 to {group}{last}" for group, last in CATALOGUE.items())
    return f"{text!r} is no id of the catalogue", f"those are {ranges}"


def _one_of(words: Iterable[str]) -> str:
    return "write one of " + ", ".join(sorted(words))

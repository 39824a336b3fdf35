"""Attack manifests: `attacks/CLASS/NAME.yaml` beside `NAME.c` -> frozen `Attack` values.

Every mistake of every manifest is reported at once, as file:line:column with its fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import yaml

from enforcer.arch import ABIS
from enforcer.policy.problem import Problem, suggestion
from enforcer.syscalls import names
from enforcer.syscalls.privileges import CAPABILITIES
from harness.catalogue import catalogue
from harness.model import Effect
from harness.nodes import Check, MappingFile, NotUtf8
from harness.places.features import FEATURES
from harness.places.sentinels import OBSERVED
from harness.ways import JOINT, MANNERS, Way, exists, made, parted
from harness.wideners import WIDENERS, Widener, widener_of

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
_OPTIONAL = ("variants", "ways", "wideners", "attack_call", "attempts", "needs", "holds")
_RACE_ATTEMPTS = {"default": 2_000, "quick": 400}
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

    FILE: `denied=PATH` and `allowed=PATH` name regular files; PROGRAM: such that are copies of the
    attack program. PORT: `port=N` and
    `allowed_port=N` name ports of 127.0.0.1 at which the harness takes connections and datagrams.
    DIR, TTY: paths.
    LINKED: files, with hard links `link` and `twin` of the denied and the permitted one in `dir=`.
    LINK: paths of symbolic links, whose content is the nonce. SOCKET: paths of datagram sockets
    that the harness reads. DEPUTY: files, and `deputy=PATH`, the datagram socket of a process
    outside that reads them for others. PEER: `peer=PID`, a process outside under the same ids, and
    the `address=` of its memory that the harness looks at.
    """

    FILE = "file"
    PROGRAM = "program"
    DIR = "dir"
    LINKED = "linked"
    LINK = "link"
    PORT = "port"
    SOCKET = "socket"
    DEPUTY = "deputy"
    PEER = "peer"
    TTY = "tty"


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """How often a race is tried, by default and in a quick run; 1 for deterministic attacks."""

    default: int = 1
    quick: int = 1


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One C program and what is known of it.

    `id` is CLASS/NAME. `needs` are kernel features without which it means nothing, `holds` the
    capabilities that the program begins with, bare and confined. `direct_call`
    is the call that its direct attempt makes and that a log must show. `variants` are plain;
    `calls` maps those to the calls at which the attack can be refused; the first of them also goes
    each of the `ways`, and, in scenarios that name these, with each of the `wideners`. One that
    stands in for files with `mistakes` can only be broken.
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
    ways: tuple[Way, ...] = ()
    wideners: tuple[Widener, ...] = ()
    calls: Mapping[str, tuple[str, ...]]
    attempts: Attempts = field(default_factory=Attempts)
    needs: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    direct_call: str
    source: tuple[str, ...]
    program: Path
    manifest: Path
    mistakes: tuple[Problem, ...] = ()

    @property
    def every_variant(self) -> tuple[str, ...]:
        """The plain variants, and the first of them in every way and with every widener."""
        first = self.variants[0]
        return (*self.variants, *(f"{first}{JOINT}{how}" for how in (*self.ways, *self.wideners)))

    @property
    def every_class(self) -> tuple[str, ...]:
        """The attack's own classes, and those of its wideners."""
        shown = (WIDENERS[widener].catalogue for widener in self.wideners)
        return tuple(dict.fromkeys((*self.catalogue, *filter(None, shown))))

    def classes(self, variant: str) -> tuple[str, ...]:
        """The classes that a variant shows."""
        widener = widener_of(variant)
        own = WIDENERS[widener].catalogue if widener else ""
        return (*self.catalogue, own) if own else self.catalogue

    def needed(self, variant: str) -> tuple[str, ...]:
        """The kernel features without which a variant means nothing."""
        widener = widener_of(variant)
        own = WIDENERS[widener].feature if widener else ""
        return (*self.needs, own) if own else self.needs

    def expanded(self, abi: str) -> tuple[str, ...]:
        """Those of every_variant whose calls the ABI has."""
        ways = {variant: parted(variant)[1] for variant in self.every_variant}
        return tuple(variant for variant, way in ways.items() if way is None or exists(way, abi))

    def attack_calls(self, variant: str) -> frozenset[str]:
        """The calls, as logs name them, at which the attack run of this variant can be refused."""
        plain, way = parted(variant)
        return made(self.calls[plain], way)

    def direct_calls(self, variant: str) -> frozenset[str]:
        """The calls of the direct attempt, which is made plainly whatever the variant."""
        assert parted(variant)[0] in self.variants
        return frozenset({self.direct_call})


class ManifestError(Exception):
    """All mistakes found in the manifests that were loaded."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def load_attacks(root: Path) -> Mapping[str, Attack]:
    """All attacks under `root` by id, sorted. Raises ManifestError with every mistake."""
    attacks, problems = sound_attacks(root)
    if problems:
        raise ManifestError(problems)
    return attacks


def sound_attacks(root: Path) -> tuple[Mapping[str, Attack], Sequence[Problem]]:
    """As load_attacks, for those who go on without what is wrong: and the mistakes."""
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
    return attacks, problems


def stand_ins(problems: Iterable[Problem]) -> Mapping[str, Attack]:
    """For those who run what is sound: the attacks whose files have these mistakes, by id. They
    are of no use but to be named by scenarios, whose cases are broken then.
    """
    found: dict[Path, list[Problem]] = {}
    for problem in problems:
        path = Path(problem.source).with_suffix(".yaml")
        if path.parent.name in list(AttackClass):
            found.setdefault(path, []).append(problem)
    attacks = [
        Attack(
            id=f"{path.parent.name}/{path.stem}",
            name=path.stem,
            title="its files have mistakes",
            attack_class=AttackClass(path.parent.name),
            catalogue=(),
            effect=Effect.READ,
            kind=AttackKind.DETERMINISTIC,
            sentinel=SentinelKind.FILE,
            abis=tuple(ABIS),
            calls={"default": ()},
            direct_call="",
            source=(),
            program=path.with_suffix(".c"),
            manifest=path,
            mistakes=tuple(mistakes),
        )
        for path, mistakes in found.items()
    ]
    return {attack.id: attack for attack in attacks}


def load_attack(path: Path) -> Attack:
    """The attack described by the manifest `path`. Raises ManifestError."""
    try:
        return _Reader(path).attack()
    except NotUtf8 as error:
        raise ManifestError([error.problem]) from None


class _Reader(MappingFile):
    """One manifest while it is read: notes every mistake, raises at the end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, (*_REQUIRED, *_OPTIONAL), what="manifest", first_key="name")
        if self.nodes is None:
            raise ManifestError(self.problems.found)
        for word in _REQUIRED:
            if word not in self.nodes:
                self.problems.add(None, f"{word!r} is missing", f"add a line `{word}: ...`")

    def attack(self) -> Attack:
        name = self.text("name")
        if name != self.path.stem or not _NAME.fullmatch(name):
            mend = f"write {self.path.stem!r} in lower case"
            self.note(self.node("name"), f"the name is {name!r}", mend)
        program = self.path.with_suffix(".c")
        if not program.exists():
            self.note(None, f"{program.name} does not exist", "write it beside this file")
        directory = self.path.parent.name
        if directory not in list(AttackClass):
            self.note(None, f"{directory!r} is no class of attacks", _one_of(AttackClass))
        kind = self.member("kind", AttackKind)
        effect = self.member("effect", Effect)
        sentinel = self.member("sentinel", SentinelKind)
        if effect and sentinel and effect not in OBSERVED[sentinel]:
            mend = _one_of(kind for kind, effects in OBSERVED.items() if effect in effects)
            wrong = f"nothing observes the effect {effect} on a sentinel of kind {sentinel}"
            self.note(self.node("sentinel"), wrong, mend)
        abis = self.listed("abis", self.check_abi)
        catalogue = self.listed("catalogue", self.check_catalogue_id)
        title, direct_call = self.text("title"), self.text("direct_call")
        source = self.listed("source")
        needs = self.listed("needs", self.check_feature(tuple(FEATURES)))
        holds = self.listed("holds", self.check_capability)
        calls = self.calls(direct_call)
        ways = self.ways(calls)
        wideners = self.wideners(kind)
        attempts = self.attempts(kind)
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
            variants=tuple(calls),
            ways=ways,
            wideners=wideners,
            calls=calls,
            attempts=attempts,
            needs=needs,
            holds=holds,
            direct_call=direct_call,
            source=source,
            program=program,
            manifest=self.path,
        )

    def scalar(self, node: yaml.Node, key: str) -> str:
        """As of every such file, and not empty."""
        text = super().scalar(node, key)
        if not text and isinstance(node, yaml.ScalarNode):
            self.note(node, f"{key!r} has an empty value", "write one line of text")
        return text

    def listed(self, key: str, check: Check | None = None) -> tuple[str, ...]:
        """The texts of a list, none of them twice."""
        node = self.node(key)
        if node is not None and (not isinstance(node, yaml.SequenceNode) or not node.value):
            self.note(node, f"{key!r} is not a list", "write [first, second]")
            return ()
        found = self.texts(key, check)
        for text in sorted({text for text in found if found.count(text) > 1}):
            self.note(node, f"{text!r} is given twice", "leave one out")
        return found

    def member(self, key: str, kind: type[_Member]) -> _Member | None:
        word = self.text(key)
        if not word:
            return None
        if word in list(kind):
            return kind(word)
        mend = suggestion(word, kind) or _one_of(kind)
        self.note(self.node(key), f"{word!r} is no {key}", mend)
        return None

    def attempts(self, kind: AttackKind | None) -> Attempts:
        counts = dict(_RACE_ATTEMPTS) if kind is AttackKind.RACE else {}
        node = self.node("attempts")
        if node is None:
            return Attempts(**counts)
        if kind is not AttackKind.RACE or not isinstance(node, yaml.MappingNode):
            self.note(node, "`attempts` is for races", "write {default: N, quick: N} there only")
            return Attempts()
        for word, key, value in self.pairs("attempts"):
            if word not in _RACE_ATTEMPTS:
                self.note(key, f"unknown key {word!r}", "write {default: N, quick: N}")
            elif not str(value.value).isdecimal() or int(value.value) < 1:
                self.note(value, f"{value.value!r} is no count", "write a whole number above 0")
            else:
                counts[word] = int(value.value)
        return Attempts(**counts)

    def calls(self, direct_call: str) -> Mapping[str, tuple[str, ...]]:
        """The variants, each with the calls of its attack: its own, else those of them all."""
        usual = self.texts("attack_call", self.check_call) or (direct_call,)
        if (node := self.node("direct_call")) is not None:
            self.check_call(node, direct_call)
        if not isinstance(self.node("variants"), yaml.MappingNode):
            names = self.listed("variants") or ("default",)
            found = dict.fromkeys(names, usual)
        else:
            found = {
                word: self.texts_of(value, "variants", self.check_call)
                for word, _, value in self.pairs("variants")
            }
        for name in found:
            if JOINT in name:
                self.note(self.node("variants"), f"{name!r} has a {JOINT!r}", "that marks a way")
        return found

    def ways(self, calls: Mapping[str, tuple[str, ...]]) -> tuple[Way, ...]:
        """Those that are known, and that change something of the first variant."""
        first = next(iter(calls.values()), ())
        found = []
        for word in self.listed("ways", self.check_way):
            if word not in list(Way):
                continue
            way = Way(word)
            if MANNERS[way].another_call and made(first, way) == set(first):
                plain = ", ".join(MANNERS[way].calls)
                wrong = f"the way {word!r} means nothing here: the attack does not call {plain}"
                self.note(self.node("ways"), wrong, "leave it out, or name the call in attack_call")
            found.append(way)
        return tuple(found)

    def wideners(self, kind: AttackKind | None) -> tuple[Widener, ...]:
        """Those that are known, of a race."""
        found = self.listed("wideners", self.check_widener)
        if found and kind is not AttackKind.RACE:
            self.note(self.node("wideners"), "`wideners` are for races", "leave them out")
        return tuple(Widener(word) for word in found if word in list(Widener))

    def check_widener(self, node: yaml.Node, text: str) -> None:
        if text not in list(Widener):
            mend = suggestion(text, Widener) or _one_of(Widener)
            self.note(node, f"{text!r} is no widener", mend)

    def check_way(self, node: yaml.Node, text: str) -> None:
        if text not in list(Way):
            self.note(node, f"{text!r} is no way", suggestion(text, Way) or _one_of(Way))

    def check_call(self, node: yaml.Node, text: str) -> None:
        known = names()
        if text not in known:
            self.note(node, f"{text!r} is no call", suggestion(text, known) or "see syscalls(2)")

    def check_capability(self, node: yaml.Node, text: str) -> None:
        if text not in CAPABILITIES:
            mend = suggestion(text, CAPABILITIES) or "capabilities(7), without CAP_"
            self.note(node, f"{text!r} is no capability", mend)

    def check_abi(self, node: yaml.Node, text: str) -> None:
        if text not in ABIS:
            self.note(node, f"{text!r} is no ABI", suggestion(text, ABIS) or _one_of(ABIS))

    def check_catalogue_id(self, node: yaml.Node, text: str) -> None:
        if text not in catalogue():
            wrong = f"{text!r} is not an id of the catalogue"
            self.note(node, wrong, "`harness list --catalogue` shows them")


def _one_of(words: Iterable[str]) -> str:
    return "write one of " + ", ".join(sorted(words))

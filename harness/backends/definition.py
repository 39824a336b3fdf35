"""The YAML file that describes somebody else's sandbox, read with every mistake at its line."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from enforcer.access.kinds import Access
from enforcer.mechanisms.preparing import Needs
from enforcer.policy.problem import Problem, suggestion
from harness.backends.fitting import Right, Rights
from harness.model import VerdictKind
from harness.nodes import Check, MappingFile, NotUtf8
from harness.places.features import FEATURES

KEYS = (
    "title",
    "home",
    "version",
    "needs",
    "command",
    "outside",
    "nested",
    "grants",
    "denials",
    "places",
    "ports",
    "calls",
    "errno",
    "witness",
    "prepare",
    "undo",
    "files",
    "join",
    "log",
    "cannot",
    "expect",
)
NEEDS = ("binaries", "modules", "packages", "features", "lsm", "privilege", "memory")
MANAGERS = ("debian", "pypi", "go", "source")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
WITNESSES = (
    *("probe", "seccomp", "tracer", "environment:LD_PRELOAD"),
    *(f"namespace:{name}" for name in NAMESPACES),
)
SEVERAL = ("${grants}", "${calls}", "${ports}", "${command}")
"""Words that stand for as many as there are."""
SINGLE = (
    *(
        "path",
        "port",
        "call",
        "errno",
        "ERRNO",
        "state",
        "dir",
        "root",
        "uid",
        "gid",
        "python",
        "here",
        "init",
    ),
    *("grants", "calls", "ports", "command"),
)
ALL = "all"
ONLY = ("directories", "below-root")
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


class DefinitionError(Exception):
    """All mistakes of a description."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log of the sandbox's own: `refusal` finds a line's groups `call` and `object`."""

    path: str
    refusal: str


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A sandbox as data; the keys of its file, see docs/external.md."""

    name: str
    path: Path
    title: str
    home: str
    version: tuple[str, ...]
    needs: Needs
    command: tuple[str, ...]
    rights: Rights
    witness: tuple[str, ...]
    prepare: tuple[tuple[str, ...], ...] = ()
    undo: tuple[tuple[str, ...], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    join: str = ","
    log: Log | None = None
    cannot: tuple[str, ...] = ()
    expect: VerdictKind = VerdictKind.HELD


def load(path: Path) -> Definition:
    """The description in a file. Raises DefinitionError with every mistake, OSError."""
    try:
        return _Reader(path).definition()
    except NotUtf8 as error:
        raise DefinitionError([error.problem]) from None


class _Reader(MappingFile):
    """One description while it is read: notes every mistake, raises at the end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, KEYS, what="description of a sandbox", first_key="title")
        if self.nodes is None:
            raise DefinitionError(self.problems.found)

    def definition(self) -> Definition:
        for key, example in (
            ("title", "a line `title: what it is`"),
            ("version", "`version: [PROGRAM, --version]`"),
            ("command", "`command: [PROGRAM, ${grants}, --, ${command}]`"),
            ("errno", "`errno: [ENOENT]`: what its refusals answer"),
            ("witness", "`witness: [probe]`: how it is seen that it confines"),
        ):
            if self.node(key) is None:
                self.problems.add(None, f"`{key}` is missing", f"add {example}")
        command = self.texts("command", self._check_words)
        if command and "${command}" not in (*command, *self._file_texts()):
            mend = "put the word ${command} where the program and its arguments belong"
            self.note(self.node("command"), "`command` never runs the program", mend)
        rights = self._rights()
        if not rights.controlled and not rights.calls and not rights.closed and not rights.ports:
            mend = "write what it can be told under `grants`, `denials`, `ports` or `calls`"
            self.problems.add(None, "it is told nothing of a policy", mend)
        found = Definition(
            name=self.path.stem,
            path=self.path,
            title=self.text("title"),
            home=self.text("home"),
            version=self.texts("version"),
            needs=self._needs(),
            command=command,
            rights=rights,
            witness=self.texts("witness", self._one_of(WITNESSES, "witness")),
            prepare=self._commands("prepare"),
            undo=self._commands("undo"),
            files={word: self.scalar(value, "files") for word, _, value in self.pairs("files")},
            join=self.text("join") or ",",
            log=self._log(),
            cannot=self.texts("cannot"),
            expect=self._expect(),
        )
        if self.problems.found:
            raise DefinitionError(self.problems.found)
        return found

    def _expect(self) -> VerdictKind:
        node = self.node("expect")
        known = [kind.value for kind in VerdictKind]
        text = self._one(node, "verdict", known) if node is not None else ""
        return VerdictKind(text) if text in known else VerdictKind.HELD

    def _file_texts(self) -> list[str]:
        words = (str(value.value) for _, _, value in self.pairs("files"))
        return [f"${{{name}}}" for text in words for name in _PLACEHOLDER.findall(text)]

    def _one_of(self, known: Sequence[str], what: str) -> Check:
        def check(node: yaml.Node, text: str) -> None:
            if text not in known:
                mend = suggestion(text, known) or "known: " + ", ".join(known)
                self.note(node, f"unknown {what} {text!r}", mend)

        return check

    def _check_words(self, node: yaml.Node, text: str) -> None:
        for name in _PLACEHOLDER.findall(text):
            if name not in SINGLE:
                mend = suggestion(name, SINGLE) or "known: " + ", ".join(SINGLE)
                self.note(node, f"unknown placeholder ${{{name}}}", mend)
        for word in SEVERAL:
            if word in text and word != text:
                self.note(node, f"{word} stands for several words", "write it as a word of its own")

    def _entries(
        self, node: yaml.Node | None, key: str, known: Sequence[str]
    ) -> dict[str, yaml.Node]:
        """The values of a mapping by word, the unknown ones noted."""
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.note(node, f"{key!r} is not a mapping", "write `name: value` lines")
            return {}
        found = {}
        for word, value in node.value:
            name = str(word.value)
            if name in known:
                found[name] = value
            else:
                mend = suggestion(name, known) or "known: " + ", ".join(known)
                self.note(word, f"unknown key {name!r} in `{key}`", mend)
        return found

    def _needs(self) -> Needs:
        found = self._entries(self.node("needs"), "needs", NEEDS)
        packages = self._entries(found.get("packages"), "packages", MANAGERS)
        privilege = found.get("privilege")
        memory = found.get("memory")
        if privilege is not None:
            self._one(privilege, "privilege", ("root", "user"))
        if memory is not None:
            self._one(memory, "memory", ("unlimited",))
        return Needs(
            features=self.texts_of(
                found.get("features"), "features", self.check_feature(tuple(FEATURES))
            ),
            lsm=self.texts_of(found.get("lsm"), "lsm"),
            binaries=self.texts_of(found.get("binaries"), "binaries"),
            modules=self.texts_of(found.get("modules"), "modules"),
            packages={name: self.scalar(node, name) for name, node in packages.items()},
            root=privilege is not None and privilege.value == "root",
            unlimited=memory is not None,
        )

    def _one(self, node: yaml.Node, key: str, known: Sequence[str]) -> str:
        text = self.scalar(node, key)
        if text and text not in known:
            mend = suggestion(text, known) or "known: " + ", ".join(known)
            self.note(node, f"unknown {key} {text!r}", mend)
        return text

    def _rights(self) -> Rights:
        outside, nested = self.node("outside"), self.node("nested")
        calls = self._entries(self.node("calls"), "calls", ("words", "errno"))
        ports = self._entries(self.node("ports"), "ports", ("connect", "bind"))
        closed: dict[str, tuple[str, ...]] = {}
        opened: dict[str, tuple[str, ...]] = {}
        for call, node in ports.items():
            ways = self._entries(node, call, ("each", "none"))
            if "each" in ways:
                opened[call] = self.texts_of(ways["each"], call, self._check_words)
            if "none" in ways:
                closed[call] = self.texts_of(ways["none"], call, self._check_words)
        only = self._errnos(calls.get("errno"))
        return Rights(
            everything=outside is not None
            and self._one(outside, "outside", ("nothing", "everything")) == "everything",
            adds=nested is not None and self._one(nested, "nested", ("replaces", "adds")) == "adds",
            grants=self._list_of_rights("grants"),
            denials=self._list_of_rights("denials"),
            places={
                word: self.texts_of(value, "places", self._check_words)
                for word, _, value in self.pairs("places")
            },
            ports=opened,
            closed=closed,
            calls=self.texts_of(calls.get("words"), "calls", self._check_words),
            call_errno=min(only, default=0),
            refusals=self._errnos(self.node("errno")) | only,
        )

    def _list_of_rights(self, key: str) -> tuple[Right, ...]:
        node = self.node(key)
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.note(node, f"`{key}` is not a list", "write `- {access: [...], words: [...]}`")
            return ()
        found = []
        for item in node.value:
            entry = self._entries(item, key, ("access", "words", "only", "at_root"))
            for name in ("access", "words"):
                if name not in entry:
                    self.note(item, f"`{name}` is missing", f"add `{name}: [...]`")
            kinds = self._access(entry.get("access"))
            words = self.texts_of(entry.get("words"), "words", self._check_words)
            only = self.texts_of(entry.get("only"), "only", self._one_of(ONLY, "restriction"))
            found.append(
                Right(
                    access=kinds,
                    words=words,
                    directories=ONLY[0] in only,
                    below_root=ONLY[1] in only,
                    at_root=self.texts_of(entry.get("at_root"), "at_root", self._check_words),
                )
            )
        return tuple(found)

    def _access(self, node: yaml.Node | None) -> frozenset[Access]:
        known = (ALL, *(kind.value for kind in Access))
        texts = self.texts_of(node, "access", self._one_of(known, "kind of access"))
        if ALL in texts:
            return frozenset(Access)
        return frozenset(Access(text) for text in texts if text in known)

    def _errnos(self, node: yaml.Node | None) -> frozenset[int]:
        def check(item: yaml.Node, text: str) -> None:
            if not hasattr(errno, text):
                mend = suggestion(text, tuple(errno.errorcode.values())) or "write e.g. ENOENT"
                self.note(item, f"{text!r} is not an errno", mend)

        texts = self.texts_of(node, "errno", check)
        return frozenset(int(getattr(errno, text)) for text in texts if hasattr(errno, text))

    def _commands(self, key: str) -> tuple[tuple[str, ...], ...]:
        node = self.node(key)
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.note(node, f"`{key}` is not a list", "write `- [PROGRAM, ARGUMENT...]` lines")
            return ()
        return tuple(self.texts_of(item, key, self._check_words) for item in node.value)

    def _log(self) -> Log | None:
        found = self._entries(self.node("log"), "log", ("path", "refusal"))
        if not found:
            return None
        for name in ("path", "refusal"):
            if name not in found:
                self.note(self.node("log"), f"`{name}` is missing", f"add `{name}: ...`")
                return None
        refusal = self.scalar(found["refusal"], "refusal")
        try:
            groups = set(re.compile(refusal).groupindex)
        except re.error as error:
            self.note(found["refusal"], f"no regular expression: {error}", "see Python's re")
            return None
        for name in {"call", "object"} - groups:
            mend = f"name the part of a line that has it: (?P<{name}>...)"
            self.note(found["refusal"], f"the group {name!r} is missing", mend)
        return Log(path=self.scalar(found["path"], "path"), refusal=refusal)

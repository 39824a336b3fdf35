"""Scenario files: `scenarios/CLASS/NAME.yaml` -> frozen `Scenario` values.

Every mistake of every file is reported at once as file:line:column with its mend; the policy
inside is parsed too, in place, so that its own errors point into the scenario's file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml

from enforcer.arch import ABIS
from enforcer.policy.ast import Policy, Position
from enforcer.policy.load import prepared
from enforcer.policy.parser import parse_systrace, parse_yaml
from enforcer.policy.problem import PolicyError, Problem, Problems, suggestion
from harness.attack import Attack
from harness.model import Limits, Scenario, VerdictKind
from harness.places.layout import PLACEHOLDERS, Layout

KEYS = (
    "title",
    "attack",
    "command",
    "direct",
    "files",
    "policy",
    "policy_file",
    "variants",
    "backends",
    "leaky",
    "abis",
    "attempts",
    "expect",
    "known",
    "needs",
    "limits",
    "logged",
    "partial",
)
SAMPLE = Layout(root=Path("/srv"))
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_CATALOGUE_ID = re.compile(r"[A-D][1-9][0-9]?")


class ScenarioError(Exception):
    """All mistakes found in the scenarios that were loaded."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, kw_only=True)
class Known:
    """The names that a scenario may use."""

    attacks: Mapping[str, Attack]
    backends: Collection[str]


def substitute(text: str, values: Mapping[str, str]) -> str:
    """`text` with every `${name}` of `values` replaced; other names are left as they are."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def parse_policies(text: str, dialect: str, source: str) -> tuple[Policy, ...]:
    """The policies of a scenario, placeholders already replaced, ready to be enforced.

    Raises PolicyError.
    """
    if dialect == "systrace":
        return prepared(parse_systrace(text, source))
    return prepared((parse_yaml(text, source),))


def load_scenarios(directory: Path, known: Known) -> tuple[Scenario, ...]:
    """All scenarios under `directory`, sorted by id. Raises ScenarioError with every mistake."""
    scenarios: list[Scenario] = []
    problems: list[Problem] = []
    for path in scenario_files(directory):
        try:
            scenarios.append(load_scenario(path, directory, known))
        except ScenarioError as error:
            problems.extend(error.problems)
    if problems:
        raise ScenarioError(problems)
    return tuple(scenarios)


def scenario_files(directory: Path) -> tuple[Path, ...]:
    """The files that hold scenarios; `policies/` holds something else."""
    found = sorted(directory.glob("*/**/*.yaml"))
    return tuple(path for path in found if path.relative_to(directory).parts[0] != "policies")


def load_scenario(path: Path, directory: Path, known: Known) -> Scenario:
    """One file; its id is its path under `directory` without suffix. Raises ScenarioError."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        problem = Problem(source=str(path), line=1, column=1, message="the file is not UTF-8")
        raise ScenarioError([problem]) from None
    return _Reader(path, text, directory, known).scenario()


class _Reader:
    """One scenario while it is read: notes every mistake, raises at the end."""

    def __init__(self, path: Path, text: str, directory: Path, known: Known) -> None:
        self.path = path
        self.text = text
        self.directory = directory
        self.known = known
        self.problems = Problems(str(path), text)
        self.nodes = self._nodes()

    def scenario(self) -> Scenario:
        title = self._text("title") if "title" in self.nodes else ""
        if not title:
            self.problems.add(None, "`title` is missing", "add a line `title: ...`")
        attack = self._attack()
        command = self._texts("command", self._check_placeholders)
        if ("attack" in self.nodes) == ("command" in self.nodes):
            self.problems.add(
                None, "a scenario has either `attack` or `command`", "write exactly one of them"
            )
        policy, dialect = self._policy()
        variants = self._texts("variants", self._check_variant(attack))
        abis = self._texts("abis", self._check_abi(attack))
        backends = self._texts("backends", self._check_backend(leaky=False))
        scenario = Scenario(
            id=self.path.relative_to(self.directory).with_suffix("").as_posix(),
            title=title,
            path=self.path,
            policy=policy,
            dialect=dialect,
            attack=attack.id if attack else None,
            command=command,
            direct=self._texts("direct", self._check_placeholders),
            files=self._mapping("files"),
            variants=variants,
            backends=() if backends == ("all",) else backends,
            leaky=self._texts("leaky", self._check_backend(leaky=True)),
            abis=abis,
            attempts=self._count("attempts"),
            expect=self._expect(),
            known=self._known(),
            needs=self._mapping("needs"),
            limits=self._limits(),
            logged=self._texts("logged", self._check_backend(leaky=False)),
            partial=self._texts("partial", self._check_backend(leaky=False)),
        )
        if self.problems.found:
            raise ScenarioError(self.problems.found)
        return scenario

    def _nodes(self) -> dict[str, yaml.Node]:
        try:
            top = yaml.compose(self.text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Position(mark.line + 1, mark.column + 1) if mark else None
            self.problems.add(place, f"not YAML: {error.problem or error.context}")
            raise ScenarioError(self.problems.found) from None
        except yaml.YAMLError as error:
            self.problems.add(None, f"not YAML: {error}")
            raise ScenarioError(self.problems.found) from None
        if not isinstance(top, yaml.MappingNode):
            self.problems.add(None, "a scenario is a mapping", "write `title: ...` lines")
            raise ScenarioError(self.problems.found)
        nodes: dict[str, yaml.Node] = {}
        for key, value in top.value:
            word = str(key.value)
            if word not in KEYS:
                self._note(key, f"unknown key {word!r}", suggestion(word, KEYS) or "leave it out")
            elif word in nodes:
                self._note(key, f"{word!r} is given twice", "leave one out")
            else:
                nodes[word] = value
        return nodes

    def _note(self, node: yaml.Node | None, message: str, mend: str) -> None:
        place = None
        if node is not None:
            start, end = node.start_mark, node.end_mark
            length = end.column - start.column if end.line == start.line else 1
            place = Position(start.line + 1, start.column + 1, max(1, length))
        self.problems.add(place, message, mend)

    def _scalar(self, node: yaml.Node, key: str) -> str:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self._note(node, f"a value of {key!r} is not a text", "write one line of text")
        return ""

    def _text(self, key: str) -> str:
        node = self.nodes.get(key)
        return "" if node is None else self._scalar(node, key)

    def _texts(
        self, key: str, check: Callable[[yaml.Node, str], None] | None = None
    ) -> tuple[str, ...]:
        node = self.nodes.get(key)
        if node is None:
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        texts = []
        for item in items:
            text = self._scalar(item, key)
            if check is not None and text:
                check(item, text)
            texts.append(text)
        return tuple(texts)

    def _mapping(self, key: str) -> dict[str, str]:
        return {word: self._scalar(value, key) for word, _, value in self._pairs(key)}

    def _pairs(self, key: str) -> Sequence[tuple[str, yaml.Node, yaml.Node]]:
        node = self.nodes.get(key)
        if node is None:
            return ()
        if not isinstance(node, yaml.MappingNode):
            self._note(node, f"{key!r} is not a mapping", "write `name: value` lines")
            return ()
        return [(str(word.value), word, value) for word, value in node.value]

    def _count(self, key: str) -> int | None:
        text = self._text(key)
        if not text:
            return None
        if not text.isdecimal() or int(text) < 1:
            self._note(self.nodes[key], f"{text!r} is no count", "write a whole number above 0")
            return None
        return int(text)

    def _attack(self) -> Attack | None:
        name = self._text("attack")
        if name and name not in self.known.attacks:
            mend = suggestion(name, self.known.attacks) or "`harness list attacks` shows them"
            self._note(self.nodes["attack"], f"there is no attack {name!r}", mend)
        return self.known.attacks.get(name)

    def _check_placeholders(self, node: yaml.Node, text: str) -> None:
        for name in _PLACEHOLDER.findall(text):
            if name not in PLACEHOLDERS:
                mend = suggestion(name, PLACEHOLDERS) or "known: " + ", ".join(sorted(PLACEHOLDERS))
                self._note(node, f"unknown placeholder ${{{name}}}", mend)

    def _check_variant(self, attack: Attack | None) -> Callable[[yaml.Node, str], None]:
        def check(node: yaml.Node, text: str) -> None:
            if attack is not None and text not in attack.variants:
                mend = suggestion(text, attack.variants) or "it has " + ", ".join(attack.variants)
                self._note(node, f"{attack.id} has no variant {text!r}", mend)

        return check

    def _check_abi(self, attack: Attack | None) -> Callable[[yaml.Node, str], None]:
        def check(node: yaml.Node, text: str) -> None:
            known = attack.abis if attack is not None else tuple(ABIS)
            if text not in known:
                mend = suggestion(text, known) or "write one of " + ", ".join(known)
                self._note(node, f"{text!r} is no ABI of this scenario's program", mend)

        return check

    def _check_backend(self, *, leaky: bool) -> Callable[[yaml.Node, str], None]:
        def check(node: yaml.Node, text: str) -> None:
            if text == "all" and not leaky:
                return
            if text not in self.known.backends:
                mend = suggestion(text, self.known.backends) or "`harness list backends` shows them"
                self._note(node, f"there is no backend {text!r}", mend)

        return check

    def _expect(self) -> dict[str, VerdictKind]:
        expect: dict[str, VerdictKind] = {}
        verdicts = [kind.value for kind in VerdictKind]
        for backend, key, value in self._pairs("expect"):
            name, _, abi = backend.partition("/")
            if name != "default":
                self._check_backend(leaky=False)(key, name)
            if abi and abi not in ABIS:
                self._note(key, f"{abi!r} is no ABI", suggestion(abi, ABIS) or "leave it out")
            word = self._scalar(value, "expect")
            if word in verdicts:
                expect[backend] = VerdictKind(word)
            else:
                mend = suggestion(word, verdicts) or "write one of " + ", ".join(verdicts)
                self._note(value, f"{word!r} is no verdict", mend)
        return expect

    def _known(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for backend, key, value in self._pairs("known"):
            self._check_backend(leaky=False)(key, backend)
            word = self._scalar(value, "known")
            if not _CATALOGUE_ID.fullmatch(word):
                self._note(value, f"{word!r} is no id of the catalogue", "write one like B8")
            known[backend] = word
        return known

    def _limits(self) -> Limits:
        kinds = {name: type(value) for name, value in asdict(Limits()).items()}
        found: dict[str, float] = {}
        for word, key, value in self._pairs("limits"):
            if word not in kinds:
                mend = suggestion(word, kinds) or "known: " + ", ".join(kinds)
                self._note(key, f"unknown limit {word!r}", mend)
                continue
            text = self._scalar(value, "limits")
            try:
                found[word] = kinds[word](text.replace("_", ""))
            except ValueError:
                self._note(value, f"{text!r} is no number", "write a number")
        return replace(Limits(), **found)  # type: ignore[arg-type]

    def _policy(self) -> tuple[str, str]:
        """The text, in lines and columns of this file, and its dialect."""
        inline, named = self.nodes.get("policy"), self.nodes.get("policy_file")
        if (inline is None) == (named is None):
            self.problems.add(
                None, "a scenario has either `policy` or `policy_file`", "write exactly one of them"
            )
            return "", "yaml"
        if named is not None:
            return self._policy_file(named)
        assert inline is not None
        self._check_placeholders(inline, self._source_of(inline))
        if isinstance(inline, yaml.ScalarNode):
            skipped = inline.start_mark.line + (1 if inline.style in ("|", ">") else 0)
            policy, dialect = "\n" * skipped + inline.value, "systrace"
        else:
            indentation = " " * inline.start_mark.column
            skipped = inline.start_mark.line
            policy, dialect = "\n" * skipped + indentation + self._source_of(inline), "yaml"
        self._check_policy(policy, dialect, str(self.path))
        return policy, dialect

    def _policy_file(self, node: yaml.Node) -> tuple[str, str]:
        path = self.directory / self._scalar(node, "policy_file")
        if not path.is_file():
            self._note(node, f"there is no file {path}", f"paths start at {self.directory}")
            return "", "yaml"
        policy = path.read_text(encoding="utf-8")
        self._check_placeholders(node, policy)
        dialect = "systrace" if path.suffix == ".systrace" else "yaml"
        self._check_policy(policy, dialect, str(path))
        return policy, dialect

    def _source_of(self, node: yaml.Node) -> str:
        return self.text[node.start_mark.index : node.end_mark.index]

    def _check_policy(self, text: str, dialect: str, source: str) -> None:
        try:
            parse_policies(substitute(text, SAMPLE.placeholders()), dialect, source)
        except PolicyError as error:
            self.problems.found.extend(error.problems)

"""Scenario files: `scenarios/CLASS/NAME.yaml` -> frozen `Scenario` values.

Every mistake of every file is reported at once as file:line:column with its fix; the policy
inside is parsed too, in place, so that its own errors point into the scenario's file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml

from enforcer.arch import ABIS
from enforcer.policy.ast import Policy
from enforcer.policy.load import prepared
from enforcer.policy.parser import parse_systrace, parse_yaml
from enforcer.policy.problem import PolicyError, Problem, suggestion
from harness.attack import Attack
from harness.backends import is_file
from harness.catalogue import catalogue
from harness.model import Limits, Scenario, VerdictKind, spelled
from harness.nodes import MappingFile, NotUtf8
from harness.places.features import FEATURES
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
NEEDS = ("features", "lsm", "cmdline")
SAMPLE = Layout(root=Path("/srv"))
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


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
    return load_files(dict.fromkeys(scenario_files(directory), directory), known)


def load_files(files: Mapping[Path, Path], known: Known) -> tuple[Scenario, ...]:
    """These files, each with the directory that its id and its paths start from, sorted by id.

    Raises ScenarioError with every mistake.
    """
    scenarios: list[Scenario] = []
    problems: list[Problem] = []
    for path, directory in files.items():
        try:
            scenarios.append(load_scenario(path, directory, known))
        except ScenarioError as error:
            problems.extend(error.problems)
    if problems:
        raise ScenarioError(problems)
    return tuple(sorted(scenarios, key=lambda scenario: scenario.id))


def scenario_files(directory: Path) -> tuple[Path, ...]:
    """The files that hold scenarios; `policies/` holds something else."""
    found = sorted(directory.glob("*/**/*.yaml"))
    return tuple(path for path in found if path.relative_to(directory).parts[0] != "policies")


def scenario_id(path: Path, directory: Path) -> str:
    """The path under `directory` without suffixes, spelled as attacks are."""
    name = path.relative_to(directory).as_posix().removesuffix(".yaml")
    return spelled(name.removesuffix(".scenario"))


def load_scenario(path: Path, directory: Path, known: Known) -> Scenario:
    """One file; its id and the paths in it start from `directory`. Raises ScenarioError."""
    try:
        return _Reader(path, directory, known).scenario()
    except NotUtf8 as error:
        raise ScenarioError([error.problem]) from None


class _Reader(MappingFile):
    """One scenario while it is read: notes every mistake, raises at the end."""

    def __init__(self, path: Path, directory: Path, known: Known) -> None:
        super().__init__(path, KEYS, what="scenario", first_key="title")
        if self.nodes is None:
            raise ScenarioError(self.problems.found)
        self.directory = directory
        self.known = known
        self.own: set[str] = set()

    def scenario(self) -> Scenario:
        title = self.text("title")
        if not title:
            self.problems.add(None, "`title` is missing", "add a line `title: ...`")
        attack = self._attack()
        command = self.texts("command", self._check_placeholders)
        if (self.node("attack") is None) == (self.node("command") is None):
            self.problems.add(
                None, "a scenario has either `attack` or `command`", "write exactly one of them"
            )
        policy, dialect = self._policy()
        variants = self.texts("variants", self._check_variant(attack))
        abis = self.texts("abis", self._check_abi(attack))
        backends = self._backends()
        self.own = {Path(each).stem for each in backends if is_file(each)}
        features, needs = self._needs()
        scenario = Scenario(
            id=scenario_id(self.path, self.directory),
            title=title,
            path=self.path,
            policy=policy,
            dialect=dialect,
            attack=attack.id if attack else None,
            command=command,
            direct=self.texts("direct", self._check_placeholders),
            files={word: self.scalar(value, "files") for word, _, value in self.pairs("files")},
            variants=variants,
            backends=() if backends == ("all",) else backends,
            leaky=self.texts("leaky", self._check_backend(leaky=True)),
            abis=abis,
            attempts=self._count("attempts"),
            expect=self._expect(attack),
            known=self._known(attack),
            features=features,
            needs=needs,
            limits=self._limits(),
            logged=self.texts("logged", self._check_backend(leaky=False)),
            partial=self.texts("partial", self._check_backend(leaky=False)),
        )
        if self.problems.found:
            raise ScenarioError(self.problems.found)
        return scenario

    def _backends(self) -> tuple[str, ...]:
        """The names; of descriptions of the user's own the whole names of their files."""
        named = self.texts("backends", self._check_backend(leaky=False))
        return tuple(str(self._own(each)) if is_file(each) else each for each in named)

    def _own(self, name: str) -> Path:
        return (self.directory / name).resolve()

    def _needs(self) -> tuple[tuple[str, ...], dict[str, object]]:
        """Kernel features, and what a machine is booted with."""
        node = self.node("needs")
        check = self.check_feature(tuple(FEATURES))
        if not isinstance(node, yaml.MappingNode):
            return self.texts("needs", check), {}
        features: tuple[str, ...] = ()
        needs: dict[str, object] = {}
        for word, key, value in self.pairs("needs"):
            match word:
                case "features":
                    features = self.texts_of(value, "needs", check)
                case "lsm":
                    needs[word] = list(self.texts_of(value, "needs"))
                case "cmdline":
                    needs[word] = self.scalar(value, "needs")
                case _:
                    mend = suggestion(word, NEEDS) or "known: " + ", ".join(NEEDS)
                    self.note(key, f"unknown need {word!r}", mend)
        return features, needs

    def _count(self, key: str) -> int | None:
        text = self.text(key)
        if not text:
            return None
        if not text.isdecimal() or int(text) < 1:
            self.note(self.node(key), f"{text!r} is no count", "write a whole number above 0")
            return None
        return int(text)

    def _attack(self) -> Attack | None:
        name = self.text("attack")
        if name and name not in self.known.attacks:
            mend = suggestion(name, self.known.attacks) or "`harness list attacks` shows them"
            self.note(self.node("attack"), f"there is no attack {name!r}", mend)
        return self.known.attacks.get(name)

    def _check_placeholders(self, node: yaml.Node, text: str) -> None:
        for name in _PLACEHOLDER.findall(text):
            if name not in PLACEHOLDERS:
                mend = suggestion(name, PLACEHOLDERS) or "known: " + ", ".join(sorted(PLACEHOLDERS))
                self.note(node, f"unknown placeholder ${{{name}}}", mend)

    def _check_variant(self, attack: Attack | None) -> Callable[[yaml.Node, str], None]:
        def check(node: yaml.Node, text: str) -> None:
            if attack is None or attack.mistakes:
                return
            if text not in attack.every_variant:
                known = attack.every_variant
                mend = suggestion(text, known) or "it has " + ", ".join(known)
                self.note(node, f"{attack.id} has no variant {text!r}", mend)

        return check

    def _check_abi(self, attack: Attack | None) -> Callable[[yaml.Node, str], None]:
        def check(node: yaml.Node, text: str) -> None:
            known = attack.abis if attack is not None else tuple(ABIS)
            if text not in known:
                mend = suggestion(text, known) or "write one of " + ", ".join(known)
                self.note(node, f"{text!r} is no ABI of this scenario's program", mend)

        return check

    def _check_backend(self, *, leaky: bool) -> Callable[[yaml.Node, str], None]:
        def check(node: yaml.Node, text: str) -> None:
            if text == "all" and not leaky:
                return
            if not leaky and is_file(text):
                if not self._own(text).is_file():
                    mend = f"paths start at {self.directory}"
                    self.note(node, f"there is no file {text}", mend)
            elif text not in self.known.backends:
                mend = suggestion(text, self.known.backends) or "`harness list backends` shows them"
                self.note(node, f"there is no backend {text!r}", mend)

        return check

    def _expect(self, attack: Attack | None) -> dict[str, VerdictKind]:
        expect: dict[str, VerdictKind] = {}
        verdicts = [kind.value for kind in VerdictKind]
        for backend, key, value in self.pairs("expect"):
            if backend != "default":
                self._check_narrowed(key, backend, attack)
            word = self.scalar(value, "expect")
            if word in verdicts:
                expect[backend] = VerdictKind(word)
            else:
                mend = suggestion(word, verdicts) or "write one of " + ", ".join(verdicts)
                self.note(value, f"{word!r} is no verdict", mend)
        return expect

    def _check_narrowed(self, node: yaml.Node, text: str, attack: Attack | None) -> None:
        """A backend, or one with an ABI, a variant or a way behind a slash."""
        name, _, narrower = text.partition("/")
        if name not in self.own:
            self._check_backend(leaky=False)(node, name)
        variants = (*attack.every_variant, *attack.ways, *attack.wideners) if attack else ()
        known = (*ABIS, *variants)
        judged = attack is None or not attack.mistakes
        if judged and narrower and narrower not in known:
            mend = suggestion(narrower, known) or "leave it out"
            self.note(node, f"{narrower!r} is no ABI, variant, way or widener here", mend)

    def _known(self, attack: Attack | None) -> dict[str, str]:
        known: dict[str, str] = {}
        for backend, key, value in self.pairs("known"):
            self._check_narrowed(key, backend, attack)
            word = self.scalar(value, "known")
            if word not in catalogue():
                wrong = f"{word!r} is not an id of the catalogue"
                self.note(value, wrong, "`harness list --catalogue` shows them")
            known[backend] = word
        return known

    def _limits(self) -> Limits:
        kinds = {name: type(value) for name, value in asdict(Limits()).items()}
        found: dict[str, float] = {}
        for word, key, value in self.pairs("limits"):
            if word not in kinds:
                mend = suggestion(word, kinds) or "known: " + ", ".join(kinds)
                self.note(key, f"unknown limit {word!r}", mend)
                continue
            text = self.scalar(value, "limits")
            try:
                found[word] = kinds[word](text.replace("_", ""))
            except ValueError:
                self.note(value, f"{text!r} is not a number", "write a number")
        return replace(Limits(), **found)  # type: ignore[arg-type]

    def _policy(self) -> tuple[str, str]:
        """The text, in lines and columns of this file, and its dialect."""
        inline, named = self.node("policy"), self.node("policy_file")
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
        path = self.directory / self.scalar(node, "policy_file")
        if not path.is_file():
            self.note(node, f"there is no file {path}", f"paths start at {self.directory}")
            return "", "yaml"
        policy = path.read_text(encoding="utf-8")
        self._check_placeholders(node, policy)
        dialect = "systrace" if path.suffix == ".systrace" else "yaml"
        self._check_policy(policy, dialect, str(path))
        return policy, dialect

    def _source_of(self, node: yaml.Node) -> str:
        return self.content[node.start_mark.index : node.end_mark.index]

    def _check_policy(self, text: str, dialect: str, source: str) -> None:
        try:
            parse_policies(substitute(text, SAMPLE.placeholders()), dialect, source)
        except PolicyError as error:
            self.problems.found.extend(error.problems)

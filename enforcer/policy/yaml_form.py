"""Reads policies in YAML: the same rules and expressions, with a place for every word."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import yaml

from enforcer.call import Action, Transition
from enforcer.policy.ast import Dialect, Policy, Position, Rule
from enforcer.policy.expressions import Parser
from enforcer.policy.membership import ALL, every_call
from enforcer.policy.names import errno_names, parse_errno
from enforcer.policy.problem import Problems, character_name, suggestion
from enforcer.policy.tokens import Fragment, SyntaxProblem, tokenize

EPERM = 1
MOST_LEVELS = 12
"""How deep YAML may be nested; a policy needs five levels."""
MOST_READ = 1 << 20
"""Characters and entries read in one file, aliases followed."""

_Found = TypeVar("_Found")

_KEYS = (
    "policy",
    "template",
    "description",
    "dialect",
    "emulation",
    "detached",
    "include",
    "default",
    "rules",
)
_RULE_KEYS = ("when", "log", "as", "if")
_ACTIONS = ("permit", "permit-now", "deny", "deny-now", "ask", "kill")
_DEFAULTS = ("permit", "deny", "ask", "kill")
_ACTION = re.compile(r"([a-z-]+)(?:\[([^\[\]]*)\])?\Z")


def read_yaml(
    text: str, source: str, constants: Mapping[str, int]
) -> tuple[Policy | None, Problems]:
    """The policy of a text, and what is wrong with it (nothing is raised)."""
    problems = Problems(source, text)
    roots = _roots(text, problems)
    if len(roots) > 1:
        problems.add(_position(roots[1]), "a second policy where one is wanted")
    policies = _policies(roots[:1], text, source, problems, constants)
    return policies[0] if policies else None, problems


def read_documents(
    text: str, source: str, constants: Mapping[str, int]
) -> tuple[tuple[Policy, ...], Problems]:
    """The policies of a text, one a document, and what is wrong with them (nothing is raised)."""
    problems = Problems(source, text)
    return _policies(_roots(text, problems), text, source, problems, constants), problems


def _roots(text: str, problems: Problems) -> Sequence[yaml.Node]:
    """The documents of a text; none, and why, where they cannot be read."""
    if (odd := _ODD_LINE_END.search(text)) is not None:
        problems.add(
            _place_of(text, odd.start()),
            f"{character_name(odd.group())} ends a line in YAML alone",
            'leave it out, or write it as an escape within "..."',
        )
        return ()
    try:
        roots = list(yaml.compose_all(text, Loader=_Loader))
    except SyntaxProblem as problem:
        problems.add(problem.position, problem.message, problem.mend)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Position(mark.line + 1, mark.column + 1) if mark else None
        said = str(error.problem or error.context)
        mend = 'within {} write the action in quotes: {"deny[eacces]": read}'
        problems.add(place, f"not YAML: {said}", mend if said.endswith("got '['") else "")
    except yaml.reader.ReaderError as error:
        problems.add(_place_of(text, error.position), f"not YAML: {error.reason}")
    else:
        if not roots:
            problems.add(None, "a policy is a mapping", "begin with: rules: []")
        return roots
    return ()


def _policies(
    roots: Sequence[yaml.Node],
    text: str,
    source: str,
    problems: Problems,
    constants: Mapping[str, int],
) -> tuple[Policy, ...]:
    reader = _Reader(text, source, problems, constants)
    policies: list[Policy] = []
    for root in roots:
        if not isinstance(root, yaml.MappingNode):
            problems.add(_position(root), "a policy is a mapping", "begin with: rules: []")
            continue
        try:
            policies.append(reader.policy(root))
        except SyntaxProblem as problem:
            problems.add(problem.position, problem.message, problem.mend)
    return tuple(policies)


class _Loader(yaml.SafeLoader):
    """Refuses what is nested deeper than any policy, before the composer runs out of stack."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MOST_LEVELS:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise SyntaxProblem(
                Position(mark.line + 1, mark.column + 1), f"more than {MOST_LEVELS} levels"
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    """Turns the nodes of each document into a policy."""

    def __init__(
        self, text: str, source: str, problems: Problems, constants: Mapping[str, int]
    ) -> None:
        self._text = text
        self._source = source
        self._problems = problems
        self._constants = constants
        self._dialect = Dialect.STRICT
        self._read = 0

    def policy(self, root: yaml.MappingNode) -> Policy:
        self._dialect = Dialect.STRICT
        keys = self._mapping(root, _KEYS, "a policy")
        if (node := keys.get("dialect")) is not None:
            self._dialect = Dialect(self._choice(node, tuple(Dialect)) or Dialect.STRICT)
        default, default_errno = Action.ASK, EPERM
        if (node := keys.get("default")) is not None:
            default, default_errno = self._default(node)
        binary = None
        if (node := keys.get("policy")) is not None:
            binary = self._scalar(node)
            if binary is not None and not binary.startswith("/"):
                self._problems.add(
                    _position(node), "the path of a binary is absolute", "leave it out for any"
                )
        rules: list[Rule] = []
        if (node := keys.get("rules")) is not None:
            if isinstance(node, yaml.SequenceNode):
                rules = [rule for each in node.value if (rule := self._rule(each)) is not None]
            else:
                self._problems.add(_position(node), "rules are a list", "write: rules: []")
        elif "template" not in keys and "detached" not in keys:
            self._problems.add(_position(root), "a policy without rules", "write: rules: []")
        return Policy(
            binary=binary,
            dialect=self._dialect,
            rules=tuple(rules),
            default=default,
            default_errno=default_errno,
            emulation=self._string(keys.get("emulation")) or "native",
            detached=self._truth(keys.get("detached")),
            include=self._names(keys["include"])[0] if "include" in keys else (),
            template=self._string(keys.get("template")) or "",
            description=self._string(keys.get("description")) or "",
            source=self._source,
        )

    def _rule(self, node: yaml.Node) -> Rule | None:
        if not isinstance(node, yaml.MappingNode):
            self._problems.add(
                _position(node), "a rule is a mapping", "write: - permit: [read, write]"
            )
            return None
        actions = [
            (key, value)
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode) and _ACTION.match(key.value) is not None
            if _ACTION.match(key.value).group(1) in _ACTIONS  # type: ignore[union-attr]
        ]
        keys = self._mapping(
            node, _RULE_KEYS, "a rule", besides=_ACTIONS, passed=[key for key, _ in actions]
        )
        if len(actions) != 1:
            place = _position(actions[1][0] if actions else node)
            self._problems.add(
                place,
                "a rule has exactly one action",
                "actions: permit, deny[errno], ask, kill, permit-now, deny-now",
            )
            return None
        key, value = actions[0]
        word, errno, transition = self._action(key)
        calls, positions = self._names(value)
        is_all = ALL in calls
        if is_all:
            self._check_all(calls, positions, keys)
            calls, positions = every_call(), positions[:1] * len(every_call())
        return Rule(
            calls=calls,
            when=None if is_all else self._parsed(keys.get("when"), Parser.expression),
            action=Action(word.removesuffix("-now")),
            errno=errno,
            now=word.endswith("-now"),
            log=self._truth(keys.get("log")),
            elevation=self._parsed(keys.get("as"), Parser.elevation),
            transition=transition,
            predicate=self._parsed(keys.get("if"), Parser.predicate),
            position=_position(key),
            call_positions=positions,
        )

    def _check_all(
        self, calls: tuple[str, ...], positions: tuple[Position, ...], keys: Mapping[str, yaml.Node]
    ) -> None:
        """`all` stands alone, and compares nothing: calls have no argument in common."""
        place = positions[calls.index(ALL)]
        if len(calls) > 1:
            self._problems.add(place, "`all` stands alone", "leave the other names out")
        if "when" in keys:
            self._problems.add(
                place, "a rule on all calls has no `when`", "name the calls, or fsread and fswrite"
            )
        if self._dialect is Dialect.SYSTRACE:
            self._problems.add(
                place,
                "`all` is of the strict dialect",
                "systrace answers plain rules before all others: write a default",
            )

    def _action(self, node: yaml.ScalarNode) -> tuple[str, int, Transition]:
        """action ["[" (errno | "inherit" | "detach") "]"]."""
        found = _ACTION.match(node.value)
        assert found is not None
        word, inside = found.groups()
        errno = EPERM if word.startswith("deny") else 0
        if inside is None:
            return word, errno, Transition.SWITCH
        if errno:
            return word, self._errno(node, inside), Transition.SWITCH
        if word.startswith("permit") and inside in ("inherit", "detach"):
            return word, 0, Transition(inside)
        self._problems.add(
            _position(node),
            f"unexpected [{inside}]",
            "known are deny[errno], permit[inherit] and permit[detach]",
        )
        return word, errno, Transition.SWITCH

    def _errno(self, node: yaml.ScalarNode, text: str) -> int:
        number = parse_errno(text)
        if number is None:
            self._problems.add(
                _position(node),
                f"unknown error code `{text}`",
                suggestion(text.lower(), errno_names()),
            )
        return number or EPERM

    def _default(self, node: yaml.Node) -> tuple[Action, int]:
        text = self._scalar(node)
        found = _ACTION.match(text or "")
        if text is None or found is None or found.group(1) not in _DEFAULTS:
            if text is not None:
                self._problems.add(
                    _position(node),
                    f"unknown default `{text}`",
                    suggestion(text, _DEFAULTS) or "known are permit, deny[errno], ask and kill",
                )
            return Action.ASK, EPERM
        action = Action(found.group(1))
        if found.group(2) is None:
            return action, EPERM
        if action is not Action.DENY or not isinstance(node, yaml.ScalarNode):
            self._problems.add(_position(node), f"{action} has no error code", "write it bare")
            return action, EPERM
        return action, self._errno(node, found.group(2))

    def _parsed(self, node: yaml.Node | None, parse: Callable[[Parser], _Found]) -> _Found | None:
        """What `parse` makes of the whole text of a node."""
        if node is None or self._scalar(node) is None:
            return None
        assert isinstance(node, yaml.ScalarNode)
        try:
            parser = Parser(
                tokenize(_fragment(node, self._text)),
                self._dialect,
                self._problems,
                self._constants,
            )
            found = parse(parser)
            parser.expect_end()
        except SyntaxProblem as problem:
            self._problems.add(problem.position, problem.message, problem.mend)
            return None
        return found

    def _names(self, node: yaml.Node) -> tuple[tuple[str, ...], tuple[Position, ...]]:
        """One name, or a list of names; with the place of each."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not nodes:
            self._problems.add(_position(node), "no name here", "write: [read, write]")
        names: list[str] = []
        places: list[Position] = []
        for each in nodes:
            name = self._scalar(each)
            if name is not None:
                names.append(name)
                places.append(_position(each))
        return tuple(names), tuple(places)

    def _mapping(
        self,
        node: yaml.MappingNode,
        known: tuple[str, ...],
        what: str,
        besides: tuple[str, ...] = (),
        passed: list[yaml.ScalarNode] | None = None,
    ) -> dict[str, yaml.Node]:
        """The values by key; unknown and repeated keys are noted."""
        found: dict[str, yaml.Node] = {}
        self._count(node, len(node.value))
        for key, value in node.value:
            if passed is not None and any(key is each for each in passed):
                continue
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None or name not in known:
                self._problems.add(
                    _position(key),
                    f"unknown key `{name}` in {what}" if name else f"{what} has words as keys",
                    suggestion(name or "", (*known, *besides))
                    or "known are " + ", ".join((*besides, *known)),
                )
            elif name in found:
                self._problems.add(_position(key), f"`{name}` stands here twice")
            else:
                found[name] = value
        return found

    def _scalar(self, node: yaml.Node) -> str | None:
        self._count(node, len(node.value))
        if isinstance(node, yaml.ScalarNode) and node.value != "":
            return str(node.value)
        self._problems.add(_position(node), "expected a word or text here")
        return None

    def _count(self, node: yaml.Node, size: int) -> None:
        """Aliases make a short text long: what they stand for counts each time."""
        self._read += size + 1
        if self._read > MOST_READ:
            raise SyntaxProblem(
                _position(node), "this is too long, with all that its aliases stand for"
            )

    def _string(self, node: yaml.Node | None) -> str | None:
        return None if node is None else self._scalar(node)

    def _truth(self, node: yaml.Node | None) -> bool:
        return node is not None and self._choice(node, ("true", "false")) == "true"

    def _choice(self, node: yaml.Node, known: tuple[str, ...]) -> str | None:
        text = self._scalar(node)
        if text is not None and text not in known:
            self._problems.add(_position(node), f"expected {' or '.join(known)}, found `{text}`")
            return None
        return text


_ODD_LINE_END = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
"""What PyYAML takes for the end of a line, but no editor and no compiler does."""


def _place_of(text: str, index: int) -> Position:
    before = text[:index]
    return Position(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _position(node: yaml.Node) -> Position:
    start, end = node.start_mark, node.end_mark
    length = end.column - start.column if end.line == start.line else 1
    return Position(start.line + 1, start.column + 1, max(1, length))


def _fragment(node: yaml.ScalarNode, text: str) -> Fragment:
    """The value of a scalar with the place that each character has in the file.

    Escapes, quotes, line folds and indentation make the value shorter than its source: the next
    source character that equals the next one of the value is taken to be it.
    """
    place, end = node.start_mark.index, node.end_mark.index
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    places: list[tuple[int, int]] = []

    def step() -> None:
        nonlocal place, line, column
        line, column = (line + 1, 1) if text[place] == "\n" else (line, column + 1)
        place += 1

    if node.style in ("|", ">"):
        while place < end and text[place] != "\n":
            step()
    elif node.style is not None:
        step()
    for character in node.value:
        start = (place, line, column)
        while place < end and text[place] != character:
            if character.isspace() and not text[place].isspace():
                break
            step()
        if place >= end:
            place, line, column = start
        places.append((line, column))
        if place < end and (text[place] == character or character.isspace()):
            step()
    return Fragment(str(node.value), [*places, (line, column)])

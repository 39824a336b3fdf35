"""YAML files whose top is a mapping, as nodes with places: what manifests and scenarios are.

Every mistake is noted with the line and column of its node, and reading goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from enforcer.policy.ast import Position
from enforcer.policy.problem import Problem, Problems, suggestion

Check = Callable[[yaml.Node, str], None]


class NotUtf8(Exception):
    """The file is no text; `problem` says so."""

    def __init__(self, path: Path) -> None:
        self.problem = Problem(source=str(path), line=1, column=1, message="the file is not UTF-8")
        super().__init__(str(self.problem))


class MappingFile:
    """One file while it is read. `nodes` are its values by key, None when it is no mapping."""

    def __init__(
        self, path: Path, keys: Sequence[str] | None, *, what: str, first_key: str
    ) -> None:
        """`keys` are the known ones, None for any. `what` calls the file, `first_key` is shown as
        an example. Raises NotUtf8, OSError.
        """
        try:
            self.content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise NotUtf8(path) from None
        self.path = path
        self.problems = Problems(str(path), self.content)
        self._what = what
        self._first_key = first_key
        self.nodes = self._compose(keys)

    def _compose(self, keys: Sequence[str] | None) -> dict[str, yaml.Node] | None:
        try:
            top = yaml.compose(self.content, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Position(mark.line + 1, mark.column + 1) if mark else None
            said = str(error.problem or error.context)
            mend = 'within [] write words with ${...} in quotes: "${command}"'
            self.problems.add(place, f"not YAML: {said}", mend if said.endswith("got '{'") else "")
            return None
        except yaml.YAMLError as error:
            self.problems.add(None, f"not YAML: {error}")
            return None
        if not isinstance(top, yaml.MappingNode):
            mend = f"write `{self._first_key}: ...` lines"
            self.problems.add(None, f"a {self._what} is a mapping", mend)
            return None
        nodes: dict[str, yaml.Node] = {}
        for key, value in top.value:
            word = str(key.value)
            if keys is not None and word not in keys:
                self.note(key, f"unknown key {word!r}", suggestion(word, keys) or "leave it out")
            elif word in nodes:
                self.note(key, f"{word!r} is given twice", "leave one out")
            else:
                nodes[word] = value
        return nodes

    def node(self, key: str) -> yaml.Node | None:
        """The value of a key, None when the file does not have it."""
        return (self.nodes or {}).get(key)

    def note(self, node: yaml.Node | None, message: str, mend: str) -> None:
        """A mistake at `node`, or of the whole file."""
        place = None
        if node is not None:
            start, end = node.start_mark, node.end_mark
            length = end.column - start.column if end.line == start.line else 1
            place = Position(start.line + 1, start.column + 1, max(1, length))
        self.problems.add(place, message, mend)

    def scalar(self, node: yaml.Node, key: str) -> str:
        """The text of a node, "" after noting that it is none."""
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.note(node, f"a value of {key!r} is not a text", "write one line of text")
        return ""

    def text(self, key: str) -> str:
        """The text under a key, "" without one."""
        node = self.node(key)
        return "" if node is None else self.scalar(node, key)

    def texts(self, key: str, check: Check | None = None) -> tuple[str, ...]:
        """The texts under a key, a list or a single one, each checked."""
        return self.texts_of(self.node(key), key, check)

    def texts_of(
        self, node: yaml.Node | None, key: str, check: Check | None = None
    ) -> tuple[str, ...]:
        """The texts of a node that belongs to `key`."""
        if node is None:
            return ()
        texts: list[str] = []
        for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            text = self.scalar(item, key)
            if check is not None and text:
                check(item, text)
            texts.append(text)
        return tuple(texts)

    def pairs(self, key: str) -> Sequence[tuple[str, yaml.Node, yaml.Node]]:
        """Word, its node and its value's node of a mapping under a key."""
        node = self.node(key)
        if node is None:
            return ()
        if not isinstance(node, yaml.MappingNode):
            self.note(node, f"{key!r} is not a mapping", "write `name: value` lines")
            return ()
        return [(str(word.value), word, value) for word, value in node.value]

    def check_feature(self, features: Sequence[str]) -> Check:
        """A check that a text names one of the kernel features `features`."""

        def check(node: yaml.Node, text: str) -> None:
            if text not in features:
                mend = suggestion(text, features) or "write one of " + ", ".join(sorted(features))
                self.note(node, f"{text!r} is no feature that can be probed", mend)

        return check

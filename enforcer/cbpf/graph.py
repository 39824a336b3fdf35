"""A filter as a graph of tests that share their tails, and its layout as BPF instructions.

Nodes are small integers. Equal nodes are made once, so that whatever two calls have in common is in
the program once; BPF jumps forward only, which an acyclic graph laid out backwards always allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enforcer.cbpf.instruction import LONGEST_BRANCH, Code, Instruction, Program

FULL = 0xFFFF_FFFF

Node = int


@dataclass(frozen=True)
class Return:
    """The end of a way through the filter."""

    answer: int


@dataclass(frozen=True)
class Test:
    """Go to `yes` if `code` holds for the word at `offset`, masked by `mask`, and `k`."""

    offset: int
    mask: int
    code: Code
    k: int
    yes: Node
    no: Node

    @property
    def subject(self) -> tuple[int, int]:
        """What must be in the accumulator."""
        return self.offset, self.mask


class Graph:
    """Nodes, each made once."""

    def __init__(self) -> None:
        self.nodes: list[Return | Test] = []
        self._returns: dict[int, Node] = {}
        self._tests: dict[tuple[int, int, Code, int, Node, Node], Node] = {}

    def ret(self, answer: int) -> Node:
        """The node that answers `answer`."""
        node = self._returns.get(answer)
        if node is None:
            node = self._returns[answer] = len(self.nodes)
            self.nodes.append(Return(answer))
        return node

    def test(self, offset: int, mask: int, code: Code, k: int, yes: Node, no: Node) -> Node:
        """The node that tests a word; one of its ways if both are the same."""
        if yes == no:
            return yes
        key = (offset, mask, code, k, yes, no)
        node = self._tests.get(key)
        if node is None:
            node = self._tests[key] = len(self.nodes)
            self.nodes.append(Test(*key))
        return node

    def reachable(self, roots: Sequence[Node]) -> list[Node]:
        """All nodes that the roots lead to, each after those that it leads to itself."""
        seen: set[Node] = set()
        order: list[Node] = []
        stack = [(root, False) for root in reversed(roots)]
        while stack:
            node, expanded = stack.pop()
            if expanded:
                order.append(node)
                continue
            if node in seen:
                continue
            seen.add(node)
            stack.append((node, True))
            content = self.nodes[node]
            if isinstance(content, Test):
                stack += ((content.no, False), (content.yes, False))
        return order

    def layout(self, root: Node) -> Program:
        """The instructions of the filter that starts at `root`."""
        order = self.reachable([root])
        return _Layout(self.nodes, order, root).program()


class _Layout:
    """Writes a program from its last instruction to its first.

    A position counts from the end. A test has two entrances: one that loads its subject, and one
    behind the load for those who come from a test of the same subject.
    """

    def __init__(self, nodes: Sequence[Return | Test], order: Sequence[Node], root: Node) -> None:
        self._nodes = nodes
        self._order = order
        self._backwards: list[Instruction] = []
        self._home: dict[tuple[Node, bool], int] = {}
        self._near: dict[tuple[Node, bool], int] = {}
        self._loading = {root}
        for node in order:
            content = nodes[node]
            if isinstance(content, Test):
                self._loading.update(
                    way for way in (content.yes, content.no) if not self._is_loaded(content, way)
                )

    def program(self) -> Program:
        for node in self._order:
            content = self._nodes[node]
            if isinstance(content, Return):
                self._place((node, False), Instruction(Code.RET, content.answer))
            else:
                self._test(node, content)
        return tuple(reversed(self._backwards))

    def _test(self, node: Node, test: Test) -> None:
        yes = (test.yes, self._is_loaded(test, test.yes))
        no = (test.no, self._is_loaded(test, test.no))
        self._bring_near(yes, spare=1)
        self._bring_near(no, spare=0)
        here = len(self._backwards)
        branch = Instruction(
            test.code, test.k, here - self._near[yes] - 1, here - self._near[no] - 1
        )
        self._place((node, True), branch)
        if node in self._loading:
            if test.mask != FULL:
                self._backwards.append(Instruction(Code.AND, test.mask))
            self._place((node, False), Instruction(Code.LD, test.offset))

    def _is_loaded(self, test: Test, way: Node) -> bool:
        """Whether the accumulator still holds what the node at the end of `way` needs."""
        content = self._nodes[way]
        return isinstance(content, Test) and content.subject == test.subject

    def _place(self, entrance: tuple[Node, bool], instruction: Instruction) -> None:
        self._home[entrance] = self._near[entrance] = len(self._backwards)
        self._backwards.append(instruction)

    def _bring_near(self, entrance: tuple[Node, bool], *, spare: int) -> None:
        """Make `entrance` reachable by an 8-bit offset, with `spare` more instructions between."""
        here = len(self._backwards)
        if here + spare - self._near[entrance] - 1 <= LONGEST_BRANCH:
            return
        content = self._nodes[entrance[0]]
        self._near[entrance] = here
        self._backwards.append(
            Instruction(Code.RET, content.answer)
            if isinstance(content, Return)
            else Instruction(Code.JA, here - self._home[entrance] - 1)
        )

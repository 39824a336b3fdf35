"""The layout of a graph of tests, at the exact edges of what a branch can reach."""

from __future__ import annotations

import pytest

from enforcer.cbpf import Code, Program, SeccompData, check
from enforcer.cbpf.graph import FULL, Graph, Node, Return
from enforcer.cbpf.simulate import run

ARG0, ARG1, ARG2 = 16, 24, 32


def walk(graph: Graph, node: Node, data: SeccompData) -> int:
    """What the graph answers, followed node by node."""
    words = data.words()
    while True:
        content = graph.nodes[node]
        if isinstance(content, Return):
            return content.answer
        word = words[content.offset // 4] & content.mask
        holds = {
            Code.JEQ: word == content.k,
            Code.JGE: word >= content.k,
            Code.JSET: word & content.k != 0,
        }
        node = content.yes if holds[content.code] else content.no


def agrees(graph: Graph, root: Node, calls: list[SeccompData]) -> Program:
    program = graph.layout(root)
    check(program)
    for call in calls:
        assert run(program, call.words())[0] == walk(graph, root, call)
    return program


def calls_up_to(count: int) -> list[SeccompData]:
    return [
        SeccompData(0, 0xC000_003E, (first, second, third, 0, 0, 0))
        for first in (0, 1, count // 2, count - 1, count, 9999)
        for second in (0, 1, 2)
        for third in (0, 1, 2)
    ]


@pytest.mark.parametrize("is_yes_farther", [True, False])
@pytest.mark.parametrize("between", range(4))
@pytest.mark.parametrize("filler", range(244, 260))
def test_both_ways_far(filler: int, between: int, is_yes_farther: bool) -> None:
    """A test whose two ways lie about 255 instructions off, the one beyond the other."""
    graph = Graph()
    far = graph.test(ARG1, FULL, Code.JEQ, 1, graph.ret(1), graph.ret(2))
    near = far
    for step in range(between):
        near = graph.test(ARG1, FULL, Code.JSET, 1 << step, graph.ret(3), near)
    chain = near
    for step in range(filler):
        chain = graph.test(ARG0, FULL, Code.JEQ, step, graph.ret(100 + step % 7), chain)
    ways = (far, near) if is_yes_farther else (near, far)
    both = graph.test(ARG2, FULL, Code.JEQ, 1, *ways)
    root = graph.test(ARG2, FULL, Code.JGE, 2, chain, both)
    agrees(graph, root, calls_up_to(filler))


def test_mask_belongs_to_what_is_loaded() -> None:
    """Two tests of one word under different masks each load it."""
    graph = Graph()
    inner = graph.test(ARG0, 0xF0, Code.JEQ, 0x10, graph.ret(1), graph.ret(2))
    root = graph.test(ARG0, 0x0F, Code.JEQ, 1, inner, graph.ret(3))
    calls = [SeccompData(0, 0, (value, 0, 0, 0, 0, 0)) for value in (0x11, 0x21, 0x12, 0)]
    swapped = [SeccompData(0, 0xC000_003E, call.args) for call in calls]
    program = agrees(graph, root, swapped)
    assert [each.code for each in program].count(Code.LD) == 2


def test_same_subject_is_loaded_once() -> None:
    """A chain over one masked word loads it at its head alone."""
    graph = Graph()
    node = graph.ret(0)
    for value in range(1, 20):
        node = graph.test(ARG0, 0xFF, Code.JEQ, value, graph.ret(value), node)
    program = agrees(graph, node, calls_up_to(20))
    assert [each.code for each in program].count(Code.LD) == 1


def test_way_that_does_not_matter_is_no_test() -> None:
    """A test whose ways are the same node is that node; equal nodes are one."""
    graph = Graph()
    end = graph.ret(5)
    assert graph.test(ARG0, FULL, Code.JEQ, 1, end, end) == end
    assert graph.ret(5) == end

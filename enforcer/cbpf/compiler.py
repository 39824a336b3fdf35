"""Our compiler: a filter specification becomes classic BPF.

The architecture is tested first, then the number by a balanced tree over ranges of calls with the
same treatment, then registers by whole 64-bit comparisons. A call that is always allowed reads
nothing but architecture and number, which lets the kernel (5.11) answer it from a bitmap.
"""

from __future__ import annotations

from collections.abc import Sequence

from enforcer.arch.record import Abi
from enforcer.cbpf.graph import FULL, Graph, Node
from enforcer.cbpf.instruction import (
    ARCH_OFFSET,
    LIMIT,
    NR_OFFSET,
    Code,
    Program,
    argument_offsets,
)
from enforcer.cbpf.spec import (
    CANCELLED,
    AbiTable,
    FilterSpec,
    SpecClause,
    register_mask,
    table_of,
)
from enforcer.condition import LOW_HALF, WORD, All, Any, Compare, Condition, Not, Operator
from enforcer.syscalls import name

_NUMBERS = 1 << 32
_NAMED = 5


class FilterTooLarge(Exception):
    """The program exceeds the kernel's limit; the message names the calls and rules behind it."""

    def __init__(self, size: int, calls: Sequence[str]) -> None:
        self.size = size
        self.calls = tuple(calls)
        super().__init__(
            f"the filter needs {size} instructions, the kernel takes {LIMIT}; "
            f"most of them come from {'; '.join(calls)}"
        )


def compile_filter(spec: FilterSpec) -> Program:
    """The program that answers every call as `evaluate` does, in at most 4096 instructions.

    Raises FilterTooLarge, and ValueError for tables of both byte orders or a condition whose
    value or mask is no unsigned 64-bit number.
    """
    return Compiler(spec).program()


class Compiler:
    """One compilation. Methods are small so that a mutant can spoil exactly one step."""

    def __init__(self, spec: FilterSpec) -> None:
        orders = {table.abi.big_endian for table in spec.tables}
        if len(orders) > 1:
            raise ValueError("one program serves one machine: the tables differ in byte order")
        self.spec = spec
        self.graph = Graph()
        self.big_endian = orders == {True}
        self._made: dict[tuple[int, int, int], Node] = {}

    def program(self) -> Program:
        """The whole program."""
        root = self.graph.ret(self.spec.foreign)
        arches = dict.fromkeys(table.abi.audit_arch for table in self.spec.tables)
        for arch in reversed(arches):
            root = self.graph.test(ARCH_OFFSET, FULL, Code.JEQ, arch, self.numbers(arch), root)
        program = self.graph.layout(root)
        if len(program) > LIMIT:
            raise FilterTooLarge(len(program), self._largest())
        return program

    def numbers(self, arch: int) -> Node:
        """The node that tells the calls of one AUDIT_ARCH apart."""
        ranges = self.ranges(arch)
        return self.tree(ranges, 0, len(ranges))

    def ranges(self, arch: int) -> list[tuple[int, Node]]:
        """All numbers as (first, node) in ascending order, neighbours differing in node."""
        bits = {table.abi.nr_bit for table in self.spec.tables if table.abi.audit_arch == arch}
        starts = {0, CANCELLED}
        for bit in bits - {0}:
            starts.update(range(0, _NUMBERS, bit))
        nodes: dict[int, Node] = {}
        for start in starts:
            nodes[start] = self._unlisted(arch, start)
        for table in self.spec.tables:
            if table.abi.audit_arch != arch:
                continue
            for number, clauses in table.calls.items():
                if table_of(self.spec, arch, number) is not table:
                    continue
                nodes[number] = self.clauses(table, clauses)
                if number < CANCELLED and number + 1 not in nodes:
                    nodes[number + 1] = self._unlisted(arch, number + 1)
        merged: list[tuple[int, Node]] = []
        for first, node in sorted(nodes.items()):
            if not merged or merged[-1][1] != node:
                merged.append((first, node))
        return merged

    def _unlisted(self, arch: int, number: int) -> Node:
        table = table_of(self.spec, arch, number)
        return self.graph.ret(self.spec.foreign if table is None else table.unknown)

    def tree(self, ranges: Sequence[tuple[int, Node]], low: int, high: int) -> Node:
        """The balanced tree over ranges `low` to `high`, the latter not included."""
        if high - low == 1:
            return ranges[low][1]
        if high - low == 3 and ranges[low][1] == ranges[low + 2][1]:
            first, node = ranges[low + 1]
            if ranges[low + 2][0] == first + 1:
                return self.graph.test(NR_OFFSET, FULL, Code.JEQ, first, node, ranges[low][1])
        middle = (low + high) // 2
        return self.graph.test(
            NR_OFFSET,
            FULL,
            Code.JGE,
            ranges[middle][0],
            self.tree(ranges, middle, high),
            self.tree(ranges, low, middle),
        )

    def clauses(self, table: AbiTable, clauses: tuple[SpecClause, ...]) -> Node:
        """The node that answers by the first clause that holds; a repeated condition never does."""
        key = (id(clauses), table.abi.bits, table.unknown)
        node = self._made.get(key)
        if node is None:
            node = self.graph.ret(table.unknown)
            first_of = {clause.when: clause for clause in reversed(clauses)}
            for clause in reversed(clauses):
                if first_of[clause.when] is not clause:
                    continue
                node = self.branch(clause.when, table.abi, self.graph.ret(clause.answer), node)
            self._made[key] = node
        return node

    def branch(self, condition: Condition, abi: Abi, yes: Node, no: Node) -> Node:
        """The node that goes to `yes` where `condition` holds and to `no` where not."""
        match condition:
            case All(members):
                for member in reversed(members):
                    yes = self.branch(member, abi, yes, no)
                return yes
            case Any(members):
                for member in reversed(members):
                    no = self.branch(member, abi, yes, no)
                return no
            case Not(member):
                return self.branch(member, abi, no, yes)
            case Compare():
                return self.compare(condition, abi, yes, no)

    def compare(self, compare: Compare, abi: Abi, yes: Node, no: Node) -> Node:
        """A comparison of a whole register."""
        value, mask = compare.value, compare.mask
        if not (0 <= value <= WORD and 0 <= mask <= WORD and 0 <= compare.argument < 6):
            raise ValueError(f"{compare} does not compare one of six unsigned 64-bit registers")
        word = _Word(self, compare.argument, mask & register_mask(abi))
        match compare.operator:
            case Operator.EQ:
                return word.equal(value, yes, no)
            case Operator.NE:
                return word.equal(value, no, yes)
            case Operator.GT:
                return word.above(value, yes, no)
            case Operator.LE:
                return word.above(value, no, yes)
            case Operator.GE:
                return word.above(value - 1, yes, no) if value else yes
            case Operator.LT:
                return word.above(value - 1, no, yes) if value else no

    def _largest(self) -> list[str]:
        """The calls whose clauses need the most tests, with the rules that they come from."""
        sizes: list[tuple[int, str]] = []
        for table in self.spec.tables:
            for number, clauses in table.calls.items():
                size = len(self.graph.reachable([self.clauses(table, clauses)]))
                called = name(table.abi.name, number) or f"number {number}"
                rules = dict.fromkeys(clause.origin for clause in clauses if clause.origin)
                shown = ", ".join([*rules][:_NAMED]) + (", ..." if len(rules) > _NAMED else "")
                sizes.append((size, f"{table.abi.name}-{called} ({size} tests: {shown})"))
        sizes.sort(key=lambda entry: -entry[0])
        return [text for _, text in sizes[:_NAMED]]


class _Word:
    """A masked 64-bit register, of which BPF can see one half at a time."""

    def __init__(self, compiler: Compiler, argument: int, mask: int) -> None:
        self._graph = compiler.graph
        low, high = argument_offsets(argument, big_endian=compiler.big_endian)
        self._low = (low, mask & LOW_HALF)
        self._high = (high, mask >> 32)
        self._mask = mask

    def equal(self, value: int, yes: Node, no: Node) -> Node:
        """Both halves equal. The low one is looked at first: it tells most values apart."""
        if value & ~self._mask:
            return no
        upper = self._half_equal(self._high, value >> 32, yes, no)
        return self._half_equal(self._low, value & LOW_HALF, upper, no)

    def above(self, value: int, yes: Node, no: Node) -> Node:
        """The upper half above, or equal and the lower half above."""
        lower = self._half_above(self._low, value & LOW_HALF, yes, no)
        same = self._half_equal(self._high, value >> 32, lower, no)
        return self._half_above(self._high, value >> 32, yes, same)

    def _half_equal(self, half: tuple[int, int], value: int, yes: Node, no: Node) -> Node:
        offset, mask = half
        if value & ~mask:
            return no
        if mask == 0:
            return yes
        if value == 0 and mask != FULL:
            return self._graph.test(offset, FULL, Code.JSET, mask, no, yes)
        if value == mask and mask & (mask - 1) == 0:
            return self._graph.test(offset, FULL, Code.JSET, mask, yes, no)
        return self._graph.test(offset, mask, Code.JEQ, value, yes, no)

    def _half_above(self, half: tuple[int, int], value: int, yes: Node, no: Node) -> Node:
        offset, mask = half
        if value >= mask:
            return no
        return self._graph.test(offset, mask, Code.JGT, value, yes, no)

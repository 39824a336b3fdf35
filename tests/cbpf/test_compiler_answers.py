"""What compiled filters answer, call by call: conditions joined and turned round, numbers, sizes.

Each expected answer is written out, none is taken from `evaluate`.
"""

from __future__ import annotations

import pytest

from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    AbiTable,
    FilterSpec,
    FilterTooLarge,
    SeccompData,
    SpecClause,
    always,
    check,
    compile_filter,
    evaluate,
    simulate,
)
from enforcer.cbpf.compiler import Compiler
from enforcer.cbpf.instruction import LIMIT
from enforcer.cbpf.spec import CANCELLED
from enforcer.condition import FALSE, TRUE, All, Any, Compare, Condition, Not, Operator

X86_64, I386, X32, ARM, S390X = (ABIS[name] for name in ("x86_64", "i386", "x32", "arm", "s390x"))
DENIED, ENOSYS = ERRNO(1), ERRNO(38)


def judged(spec: FilterSpec, abi: Abi, nr: int, *registers: int) -> int:
    """The program's answer, which must be the specification's."""
    a, b, c, d, e, f = (*registers, 0, 0, 0, 0, 0, 0)[:6]
    data = SeccompData(nr, abi.audit_arch, (a, b, c, d, e, f))
    program = compile_filter(spec)
    check(program)
    assert all(each.k < 1 << 32 for each in program)
    answer = simulate(program, data)[0]
    assert answer == evaluate(spec, data)
    return answer


def holding(when: Condition, *registers: int) -> bool:
    """Whether a compiled condition holds for a call with these registers."""
    clauses = (SpecClause(when, DENIED), SpecClause(TRUE, ALLOW))
    spec = FilterSpec((AbiTable(X86_64, {7: clauses}, ENOSYS),), KILL_PROCESS)
    return judged(spec, X86_64, 7, *registers) == DENIED


FIRST, SECOND, THIRD = (Compare(argument, Operator.EQ, 1) for argument in range(3))


@pytest.mark.parametrize(
    ("when", "true_for"),
    [
        (All((FIRST, SECOND)), {"110", "111"}),
        (All((FIRST, SECOND, THIRD)), {"111"}),
        (Any((FIRST, SECOND)), {"100", "101", "010", "011", "110", "111"}),
        (Any((FIRST, SECOND, THIRD)), {"001", "010", "011", "100", "101", "110", "111"}),
        (Not(FIRST), {"000", "001", "010", "011"}),
        (Not(All((FIRST, SECOND))), {"000", "001", "010", "011", "100", "101"}),
        (Not(Any((FIRST, SECOND))), {"000", "001"}),
        (All((FIRST, Not(SECOND))), {"100", "101"}),
        (All((Not(FIRST), SECOND, Not(THIRD))), {"010"}),
        (Any((All((FIRST, SECOND)), THIRD)), {"001", "011", "101", "110", "111"}),
        (All((Any((FIRST, SECOND)), THIRD)), {"011", "101", "111"}),
        (TRUE, {"000", "001", "010", "011", "100", "101", "110", "111"}),
        (FALSE, set()),
        (Not(FALSE), {"000", "001", "010", "011", "100", "101", "110", "111"}),
    ],
)
def test_joined_conditions(when: Condition, true_for: set[str]) -> None:
    """All, Any and Not of three registers, for each way in which they can be set."""
    ways = [f"{number:03b}" for number in range(8)]
    assert {way for way in ways if holding(when, *map(int, way))} == true_for


HIGH = 5 << 32
SMALL = {0, 3, 4, 5, 6, 0x100, 0x103, 0x105}
LARGE = {HIGH | 4, HIGH | 5, HIGH | 6}
FULL = 2**64 - 1


@pytest.mark.parametrize(
    ("operator", "value", "mask", "true_for"),
    [
        (Operator.EQ, 5, 0xFF, {5, 0x105, HIGH | 5}),
        (Operator.EQ, 0x105, 0xFF, set()),
        (Operator.EQ, HIGH, 0xFF << 32, LARGE),
        (Operator.EQ, 0, 4, {0, 3, 0x100, 0x103}),
        (Operator.EQ, 4, 4, {4, 5, 6, 0x105, *LARGE}),
        (Operator.EQ, 6, 6, {6, HIGH | 6}),
        (Operator.NE, 5, 0xFF, {0, 3, 4, 6, 0x100, 0x103, HIGH | 4, HIGH | 6}),
        (Operator.LT, 5, 0xFF, {0, 3, 4, 0x100, 0x103, HIGH | 4}),
        (Operator.LE, 5, 0xFF, {0, 3, 4, 5, 0x100, 0x103, 0x105, HIGH | 4, HIGH | 5}),
        (Operator.GT, 5, 0xFF, {6, HIGH | 6}),
        (Operator.GE, 5, 0xFF, {5, 6, 0x105, HIGH | 5, HIGH | 6}),
        (Operator.GE, 0, 0xFF, SMALL | LARGE),
        (Operator.LT, 0, 0xFF, set()),
        (Operator.GT, 0xFF, 0xFF, set()),
        (Operator.GT, 0x105, 0xFF, set()),
        (Operator.LE, 0x105, 0xFF, SMALL | LARGE),
        (Operator.GE, HIGH, 0xFF, set()),
        (Operator.GT, 0x105, FULL, LARGE),
        (Operator.GE, HIGH | 5, FULL, {HIGH | 5, HIGH | 6}),
        (Operator.LE, HIGH | 4, FULL, {HIGH | 4, *SMALL}),
        (Operator.GT, HIGH - 1, FULL, LARGE),
        (Operator.LT, HIGH, FULL, SMALL),
    ],
)
def test_comparisons(operator: Operator, value: int, mask: int, true_for: set[int]) -> None:
    """Masked, of one half or of both, single bits and whole words."""
    when = Compare(4, operator, value, mask)
    assert {each for each in SMALL | LARGE if holding(when, 0, 0, 0, 0, each)} == true_for


def test_the_last_argument_is_compared() -> None:
    """Six registers have numbers from 0 to 5."""
    when = Compare(5, Operator.EQ, 9)
    assert holding(when, 0, 0, 0, 0, 0, 9)
    assert not holding(when, 0, 0, 0, 0, 9, 0)


@pytest.mark.parametrize(
    ("argument", "value", "mask"),
    [(6, 0, 0), (-1, 0, 0), (0, 1 << 64, 0), (0, -1, 0), (0, 0, 1 << 64), (0, 0, -1)],
)
def test_what_is_no_register_is_refused(argument: int, value: int, mask: int) -> None:
    """Numbers beyond six registers of 64 bits."""
    with pytest.raises(ValueError, match="six unsigned 64-bit registers"):
        holding(Compare(argument, Operator.EQ, value, mask))
    holding(Compare(5, Operator.EQ, 2**64 - 1, 2**64 - 1))


def test_two_byte_orders_are_refused() -> None:
    """One program serves one machine."""
    tables = (AbiTable(X86_64, {}, ENOSYS), AbiTable(S390X, {}, ENOSYS))
    with pytest.raises(ValueError, match="byte order"):
        compile_filter(FilterSpec(tables, KILL_PROCESS))


@pytest.mark.parametrize("abi", [ARM, S390X, X86_64])
def test_both_halves_on_every_byte_order(abi: Abi) -> None:
    """Each half is taken from where the machine has it."""
    clauses = (SpecClause(Compare(1, Operator.EQ, 3 << 32 | 5), DENIED), SpecClause(TRUE, ALLOW))
    spec = FilterSpec((AbiTable(abi, {7: clauses}, ENOSYS),), KILL_PROCESS)
    expected = ALLOW if abi.bits == 32 else DENIED
    assert judged(spec, abi, 7, 0, 3 << 32 | 5) == expected
    assert judged(spec, abi, 7, 0, 5 << 32 | 3) == ALLOW
    low = (SpecClause(Compare(1, Operator.EQ, 5), DENIED), SpecClause(TRUE, ALLOW))
    spec = FilterSpec((AbiTable(abi, {7: low}, ENOSYS),), KILL_PROCESS)
    assert judged(spec, abi, 7, 0, 5) == DENIED


NUMBERS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 100, 0x3FFF_FFFF, 0x7FFF_FFFF, 0x8000_0000]


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [0],
        [5],
        [4, 5],
        [4, 6],
        [0, 1, 2],
        [1, 3, 5, 7, 9],
        [0, 10],
        [0x7FFF_FFFF],
        [CANCELLED - 1],
        [CANCELLED],
        [CANCELLED - 1, CANCELLED],
    ],
)
def test_listed_numbers_and_their_neighbours(listed: list[int]) -> None:
    """Each listed number has its own answer, each other one the answer for unknown numbers."""
    calls = {nr: always(ERRNO(100 + index)) for index, nr in enumerate(listed)}
    spec = FilterSpec((AbiTable(X86_64, calls, ENOSYS),), KILL_PROCESS)
    for nr in (*NUMBERS, CANCELLED - 1, CANCELLED):
        expected = ERRNO(100 + listed.index(nr)) if nr in listed else ENOSYS
        assert judged(spec, X86_64, nr) == expected, nr


def test_neighbours_with_equal_answers() -> None:
    """Calls between which nothing is listed are one range only if nothing lies between."""
    calls = {3: always(ALLOW), 4: always(ALLOW), 6: always(ALLOW)}
    spec = FilterSpec((AbiTable(X86_64, calls, ENOSYS),), KILL_PROCESS)
    assert [judged(spec, X86_64, nr) for nr in range(2, 8)] == [
        ENOSYS,
        ALLOW,
        ALLOW,
        ENOSYS,
        ALLOW,
        ENOSYS,
    ]


def test_two_architectures_and_a_shared_one() -> None:
    """Each AUDIT_ARCH has its own numbers; x32's among those of x86_64 are told by their bit."""
    spec = FilterSpec(
        (
            AbiTable(X86_64, {1: always(ERRNO(11)), 5: always(ERRNO(12))}, ERRNO(13)),
            AbiTable(I386, {1: always(ERRNO(21)), 4: always(ERRNO(22))}, ERRNO(23)),
            AbiTable(X32, {X32.nr_bit | 1: always(ERRNO(31))}, ERRNO(33)),
        ),
        KILL_PROCESS,
    )
    answers = {
        (X86_64, 1): 11,
        (X86_64, 4): 13,
        (X86_64, 5): 12,
        (X86_64, X32.nr_bit | 1): 31,
        (X86_64, X32.nr_bit): 33,
        (X86_64, X32.nr_bit | 2): 33,
        (X86_64, X32.nr_bit - 1): 13,
        (X86_64, 2 * X32.nr_bit): 13,
        (X86_64, 3 * X32.nr_bit): 33,
        (X86_64, CANCELLED - 1): 33,
        (X86_64, CANCELLED): 13,
        (I386, 1): 21,
        (I386, 4): 22,
        (I386, 5): 23,
        (I386, X32.nr_bit | 1): 23,
        (I386, CANCELLED): 23,
    }
    for (abi, nr), expected in answers.items():
        assert judged(spec, abi, nr) == ERRNO(expected), (abi.name, nr)
    assert judged(spec, ARM, 1) == KILL_PROCESS


@pytest.mark.parametrize(
    ("abi", "foreign"), [(X86_64, 0xC000_003D), (X86_64, 0xC000_003F), (X86_64, 0xFFFF_FFFF)]
)
def test_an_architecture_is_equal_or_foreign(abi: Abi, foreign: int) -> None:
    """Numbers next to an AUDIT_ARCH, and above it, are of no table."""
    spec = FilterSpec((AbiTable(abi, {1: always(ALLOW)}, ENOSYS),), KILL_PROCESS)
    assert simulate(compile_filter(spec), SeccompData(1, foreign))[0] == KILL_PROCESS


def test_the_first_clause_that_holds() -> None:
    """In their order; without any that holds, the answer for unknown numbers."""
    clauses = (
        SpecClause(Compare(0, Operator.GE, 8), ERRNO(8)),
        SpecClause(Compare(0, Operator.GE, 4), ERRNO(4)),
        SpecClause(Compare(0, Operator.GE, 8), ERRNO(9)),
        SpecClause(Compare(0, Operator.GE, 2), ERRNO(2)),
    )
    spec = FilterSpec((AbiTable(X86_64, {7: clauses}, ENOSYS),), KILL_PROCESS)
    answers = [judged(spec, X86_64, 7, value) for value in (9, 8, 7, 4, 3, 2, 1, 0)]
    assert answers == [*map(ERRNO, (8, 8, 4, 4, 2, 2)), ENOSYS, ENOSYS]


def chained(count: int) -> FilterSpec:
    """Of one call with so many clauses."""
    clauses = tuple(
        SpecClause(Compare(0, Operator.EQ, value * 0x1_0000_0001), DENIED, f"rule {value}")
        for value in range(1, count + 1)
    )
    return FilterSpec((AbiTable(X86_64, {7: clauses}, ENOSYS),), KILL_PROCESS)


def test_the_kernels_limit_is_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many instructions as the kernel takes are no error, one more is."""
    spec = chained(20)
    size = len(compile_filter(spec))
    monkeypatch.setattr("enforcer.cbpf.compiler.LIMIT", size)
    assert len(compile_filter(spec)) == size
    monkeypatch.setattr("enforcer.cbpf.compiler.LIMIT", size - 1)
    with pytest.raises(FilterTooLarge) as caught:
        compile_filter(spec)
    assert caught.value.size == size


def test_what_is_said_of_a_filter_that_is_too_large() -> None:
    """The largest calls first, five of them, each with five of the rules behind it."""
    tables = {}
    for number, count in ((1, 300), (0, 400), (2, 350), (3, 200), (4, 500), (5, 450)):
        last = SpecClause(Compare(1, Operator.EQ, 1), ALLOW)
        made = (
            SpecClause(Compare(0, Operator.EQ, number * 1000 + value), DENIED, f"r{value % 7}")
            for value in range(count)
        )
        tables[number] = (*made, last)
    spec = FilterSpec((AbiTable(X86_64, tables, ENOSYS),), KILL_PROCESS)
    with pytest.raises(FilterTooLarge) as caught:
        compile_filter(spec)
    assert caught.value.size > LIMIT
    assert [text.partition(" (")[0] for text in caught.value.calls] == [
        "x86_64-stat",
        "x86_64-fstat",
        "x86_64-read",
        "x86_64-open",
        "x86_64-write",
    ]
    assert caught.value.calls[0].endswith("tests: r0, r1, r2, r3, r4, ...)")
    said = str(caught.value)
    assert said.startswith(
        f"the filter needs {caught.value.size} instructions, the kernel takes 4096"
    )
    assert said.endswith("most of them come from " + "; ".join(caught.value.calls))


def test_clauses_are_compiled_once() -> None:
    """The same clauses of one width are one node, however many calls have them."""
    clauses = (SpecClause(Compare(0, Operator.EQ, 5), DENIED),)
    table = AbiTable(X86_64, {1: clauses}, ENOSYS)
    compiler = Compiler(FilterSpec((table,), KILL_PROCESS))
    node = compiler.clauses(table, clauses)
    count = len(compiler.graph.nodes)
    assert compiler.clauses(table, clauses) == node
    assert len(compiler.graph.nodes) == count


def test_neighbouring_ranges_differ() -> None:
    """Numbers with one treatment are one range; of a single number between, three are one test."""
    calls = {3: always(ALLOW), 4: always(ALLOW), 9: always(DENIED)}
    table = AbiTable(X86_64, calls, ENOSYS)
    compiler = Compiler(FilterSpec((table,), KILL_PROCESS))
    ranges = compiler.ranges(X86_64.audit_arch)
    assert [first for first, _ in ranges] == [0, 3, 5, 9, 10]
    nodes = [compiler.graph.ret(each) for each in (ENOSYS, ALLOW, ENOSYS, DENIED, ENOSYS)]
    assert [node for _, node in ranges] == nodes
    alone = Compiler(FilterSpec((AbiTable(X86_64, {9: always(ALLOW)}, ENOSYS),), KILL_PROCESS))
    assert len(alone.program()) == 7

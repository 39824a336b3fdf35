"""Our compiler against the specification, in the simulator."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.arch import ABIS
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    AbiTable,
    Code,
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
from enforcer.cbpf.corpus import corpus
from enforcer.cbpf.fast import fast_simulator
from enforcer.cbpf.instruction import LIMIT
from enforcer.condition import LOW_HALF, TRUE, WORD, All, Any, Compare, Condition, Not, Operator
from enforcer.syscalls import table
from harness.fuzz.strategies.filters import MACHINES, calls_for, specs

X86_64, I386, X32 = ABIS["x86_64"], ABIS["i386"], ABIS["x32"]
ENOSYS = ERRNO(38)


def one_call(when: Condition, abi: str = "x86_64") -> FilterSpec:
    """Call 7 is denied where `when` holds, else allowed."""
    clauses = (SpecClause(when, ERRNO(1)), SpecClause(TRUE, ALLOW))
    return FilterSpec((AbiTable(ABIS[abi], {7: clauses}, ENOSYS),), KILL_PROCESS)


def answer(spec: FilterSpec, *registers: int, nr: int = 7, abi: str = "x86_64") -> int:
    args = (*registers, 0, 0, 0, 0, 0, 0)
    data = SeccompData(nr, ABIS[abi].audit_arch, args[:6])  # type: ignore[arg-type]
    program = compile_filter(spec)
    check(program)
    return simulate(program, data)[0]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_compiled_filter_equals_specification(data: st.DataObject) -> None:
    """Whatever the specification, machine and call: the compiled program answers as evaluate."""
    spec = data.draw(specs())
    program = compile_filter(spec)
    check(program)
    for _ in range(12):
        call = data.draw(calls_for(spec))
        assert simulate(program, call)[0] == evaluate(spec, call)


@settings(max_examples=60, deadline=None)
@given(specs())
def test_compiled_filter_equals_specification_on_every_boundary(spec: FilterSpec) -> None:
    """The same over the whole corpus of a specification, through the fast simulator."""
    simulator = fast_simulator(compile_filter(spec))
    for call in corpus(spec, draws=2):
        assert simulator(call) == evaluate(spec, call)


@pytest.mark.parametrize(
    ("value", "register", "denied"),
    [
        (5, 5, True),
        (5, 1 << 32 | 5, False),
        (5 << 32, 5, False),
        (5 << 32 | 5, 5 << 32 | 5, True),
        (WORD, WORD, True),
        (WORD, LOW_HALF, False),
        (0, 1 << 63, False),
    ],
)
def test_equality_compares_both_halves(value: int, register: int, denied: bool) -> None:
    """An equal low half is not enough, nor an equal high one (catalogue C7)."""
    spec = one_call(Compare(0, Operator.EQ, value))
    assert answer(spec, register) == (ERRNO(1) if denied else ALLOW)


@pytest.mark.parametrize("operator", list(Operator))
@pytest.mark.parametrize("value", [0, 1, LOW_HALF, 1 << 32, 5 << 32 | 5, 1 << 63, WORD])
@pytest.mark.parametrize("mask", [WORD, LOW_HALF, LOW_HALF << 32, 0xF0, 0])
def test_every_operator_at_its_boundaries(operator: Operator, value: int, mask: int) -> None:
    """Every operator with every kind of mask agrees with the specification around its value."""
    spec = one_call(Compare(2, operator, value, mask))
    program = compile_filter(spec)
    check(program)
    for call in corpus(spec):
        assert simulate(program, call)[0] == evaluate(spec, call), call


def test_narrow_abi_ignores_upper_halves() -> None:
    """An i386 call made by a 64-bit task is judged by the halves that the kernel uses."""
    spec = one_call(Compare(0, Operator.EQ, 5), "i386")
    assert answer(spec, 0xDEAD_BEEF_0000_0005, abi="i386") == ERRNO(1)
    assert answer(one_call(Compare(0, Operator.GT, 5), "i386"), 1 << 32, abi="i386") == ALLOW


def test_wide_x32_registers_count_in_full() -> None:
    """x32 has 64-bit registers: an upper half makes another value."""
    clauses = (SpecClause(Compare(0, Operator.EQ, 5), ERRNO(1)), SpecClause(TRUE, ALLOW))
    spec = FilterSpec((AbiTable(X32, {X32.nr_bit | 7: clauses}, ENOSYS),), KILL_PROCESS)
    assert answer(spec, 5, nr=X32.nr_bit | 7) == ERRNO(1)
    assert answer(spec, 1 << 32 | 5, nr=X32.nr_bit | 7) == ALLOW


@pytest.mark.parametrize(
    ("nr", "expected"),
    [
        (7, ALLOW),
        (8, ENOSYS),
        (0x4000_0007, ERRNO(2)),
        (0x4000_0008, ERRNO(3)),
        (0xC000_0007, ERRNO(3)),
        (0x8000_0007, ENOSYS),
        (0xFFFF_FFFF, ENOSYS),
        (0xFFFF_FFFE, ERRNO(3)),
    ],
)
def test_x32_bit_selects_the_table(nr: int, expected: int) -> None:
    """x86_64 and x32 share an AUDIT_ARCH; bit 30 tells them apart, except in the cancelled -1."""
    spec = FilterSpec(
        (
            AbiTable(X86_64, {7: always(ALLOW)}, ENOSYS),
            AbiTable(X32, {0x4000_0007: always(ERRNO(2))}, ERRNO(3)),
        ),
        KILL_PROCESS,
    )
    assert evaluate(spec, SeccompData(nr, X86_64.audit_arch)) == expected
    assert answer(spec, nr=nr) == expected


def test_foreign_abi_is_answered_by_foreign() -> None:
    """An AUDIT_ARCH without a table, and a plain number where only x32 is listed, are foreign."""
    spec = FilterSpec((AbiTable(X32, {0x4000_0001: always(ALLOW)}, ENOSYS),), KILL_PROCESS)
    assert answer(spec, nr=1) == KILL_PROCESS
    assert answer(spec, nr=0x4000_0001, abi="i386") == KILL_PROCESS
    assert compile_filter(FilterSpec((), ERRNO(9)))[0].k == ERRNO(9)


def test_listed_number_of_another_table_is_not_taken() -> None:
    """A number listed in the table of an ABI that it does not belong to changes nothing."""
    spec = FilterSpec(
        (
            AbiTable(X86_64, {0x4000_0001: always(ALLOW)}, ENOSYS),
            AbiTable(X32, {0x4000_0002: always(ALLOW)}, ERRNO(3)),
        ),
        KILL_PROCESS,
    )
    assert answer(spec, nr=0x4000_0001) == evaluate(spec, SeccompData(0x4000_0001, 0xC000003E))
    assert answer(spec, nr=0x4000_0001) == ERRNO(3)


def test_plain_calls_load_no_argument() -> None:
    """The way to a constant answer reads architecture and number only: the kernel's bitmap."""
    conditional = (SpecClause(Compare(1, Operator.EQ, 3), ERRNO(1)), SpecClause(TRUE, ALLOW))
    calls = {nr: always(ALLOW) for nr in table("x86_64").values()} | {16: conditional}
    program = compile_filter(FilterSpec((AbiTable(X86_64, calls, ENOSYS),), KILL_PROCESS))
    for nr in set(calls) - {16}:
        value, visited = simulate(program, SeccompData(nr, X86_64.audit_arch))
        assert value == ALLOW
        loads = {program[index].k for index in visited if program[index].code == Code.LD}
        assert loads <= {0, 4}


def test_tree_is_balanced() -> None:
    """No call of a full table takes more than a few more tests than the ideal tree."""
    answers = {nr: always(ERRNO(nr % 5 + 1)) for nr in range(512)}
    program = compile_filter(FilterSpec((AbiTable(X86_64, answers, ENOSYS),), KILL_PROCESS))
    paths = [len(simulate(program, SeccompData(nr, X86_64.audit_arch))[1]) for nr in range(512)]
    assert max(paths) <= 16


def test_long_branches_become_jumps() -> None:
    """Ways longer than 255 instructions are bridged, to shared tests and to returns."""
    shared = Compare(5, Operator.EQ, 77)
    calls = {}
    for nr in range(300):
        own = Compare(0, Operator.EQ, nr << 32 | nr)
        calls[nr] = (
            SpecClause(own, ERRNO(nr % 3 + 1)),
            SpecClause(shared, ERRNO(4)),
            SpecClause(TRUE, ALLOW),
        )
    spec = FilterSpec((AbiTable(X86_64, calls, ENOSYS),), KILL_PROCESS)
    program = compile_filter(spec)
    check(program)
    assert any(instruction.code == Code.JA for instruction in program)
    simulator = fast_simulator(program)
    for call in corpus(spec, draws=0):
        assert simulator(call) == evaluate(spec, call)


def test_equal_tails_are_shared() -> None:
    """The same clauses on many calls of several ABIs are in the program once."""
    clauses = tuple(
        SpecClause(Compare(0, Operator.EQ, value << 32 | value), ERRNO(1)) for value in range(1, 50)
    )
    one = FilterSpec((AbiTable(X86_64, {1: clauses}, ENOSYS),), KILL_PROCESS)
    many = FilterSpec(
        (
            AbiTable(X86_64, dict.fromkeys(range(0, 200, 2), clauses), ENOSYS),
            AbiTable(X32, {X32.nr_bit | 1: clauses}, ENOSYS),
        ),
        KILL_PROCESS,
    )
    assert len(compile_filter(many)) < len(compile_filter(one)) + 160


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_shared_clauses_mean_what_each_table_makes_of_them(machine: str) -> None:
    """One clauses object in tables that differ in width, byte order and unknown answer."""
    clauses = (
        SpecClause(Compare(0, Operator.GE, 1 << 32 | 5), ERRNO(1)),
        SpecClause(Compare(1, Operator.EQ, 7 << 32, LOW_HALF << 32), ERRNO(2)),
        SpecClause(Compare(2, Operator.LT, 9, 0xFF00_0000_00FF), ALLOW),
    )
    tables = tuple(
        AbiTable(abi, {abi.nr_bit | 3: clauses, abi.nr_bit | 9: clauses}, ERRNO(100 + index // 2))
        for index, abi in enumerate(MACHINES[machine])
    )
    spec = FilterSpec(tables, KILL_PROCESS)
    program = compile_filter(spec)
    check(program)
    for call in corpus(spec):
        assert simulate(program, call)[0] == evaluate(spec, call)


def test_repeated_condition_leaves_nothing_behind() -> None:
    """A clause whose condition an earlier one has can never answer."""
    when = Compare(0, Operator.EQ, 5)
    clauses = (SpecClause(when, ERRNO(1)), SpecClause(TRUE, ALLOW))
    repeated = (clauses[0], SpecClause(when, ERRNO(9)), clauses[1])
    programs = [
        compile_filter(FilterSpec((AbiTable(X86_64, {7: each}, ENOSYS),), KILL_PROCESS))
        for each in (clauses, repeated)
    ]
    assert programs[0] == programs[1]


def test_too_large_filter_names_the_rules() -> None:
    """Over 4096 instructions the error says which calls and rules need them."""
    many = tuple(
        SpecClause(Compare(0, Operator.EQ, value * 0x1_0000_0001), ERRNO(1), f"net.yaml:{value}")
        for value in range(3000)
    )
    few = (SpecClause(Compare(0, Operator.EQ, 1), ERRNO(1)),)
    spec = FilterSpec((AbiTable(X86_64, {41: many, 42: few, 60_000: few}, ENOSYS),), KILL_PROCESS)
    with pytest.raises(FilterTooLarge) as caught:
        compile_filter(spec)
    assert caught.value.size > LIMIT
    assert "x86_64-socket" in str(caught.value)
    assert "net.yaml:0" in str(caught.value)
    assert "number 60000" in str(caught.value)


@pytest.mark.parametrize(
    "compare",
    [
        Compare(0, Operator.EQ, -1),
        Compare(0, Operator.EQ, 1 << 64),
        Compare(6, Operator.EQ, 1),
        Compare(0, Operator.EQ, 1, -1),
    ],
)
def test_comparison_outside_registers_is_refused(compare: Compare) -> None:
    """Values, masks and registers that no call has are an error, not a guess."""
    with pytest.raises(ValueError, match="64-bit registers"):
        compile_filter(one_call(compare))


def test_mixed_byte_orders_are_refused() -> None:
    """One program serves one machine."""
    tables = tuple(AbiTable(ABIS[name], {}, ENOSYS) for name in ("s390x", "x86_64"))
    with pytest.raises(ValueError, match="byte order"):
        compile_filter(FilterSpec(tables, KILL_PROCESS))


@pytest.mark.parametrize("nested", [All, Any, Not])
def test_constant_conditions_need_no_test(nested: type) -> None:
    """Conditions that are always true or false leave no instruction behind."""
    inner: Condition = nested(()) if nested is not Not else Not(TRUE)
    spec = one_call(inner)
    assert len(compile_filter(spec)) <= 7
    assert answer(spec) == evaluate(spec, SeccompData(7, X86_64.audit_arch))


def test_a_hundred_rules_compile_within_a_second() -> None:
    """100 clauses with conditions, each over many calls on three ABIs, in well under a second."""
    tables = []
    for abi in (X86_64, I386, X32):
        numbers = sorted(table(abi.name).values())
        calls = {nr: always(ALLOW) for nr in numbers}
        for rule in range(100):
            when = Compare(rule % 6, Operator.EQ, rule << 16)
            for nr in numbers[rule % 40 :: 40]:
                calls[nr] = (SpecClause(when, ERRNO(1)), *calls[nr])
        tables.append(AbiTable(abi, calls, ENOSYS))
    spec = FilterSpec(tuple(tables), KILL_PROCESS)
    started = time.process_time()
    program = compile_filter(spec)
    assert time.process_time() - started < 1.0
    check(program)


def test_answers_of_a_replaced_table_follow() -> None:
    """The unknown answer belongs to the specification, not to a cache of clauses."""
    spec = one_call(Compare(0, Operator.EQ, 1))
    other = replace(spec, tables=(replace(spec.tables[0], unknown=ERRNO(99)),))
    assert answer(spec, nr=8) == ENOSYS
    assert answer(other, nr=8) == ERRNO(99)

"""libseccomp behind the same interface. Where it differs from the specification, that is its."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.arch import ABIS
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    AbiTable,
    FilterSpec,
    SeccompData,
    SpecClause,
    always,
    check,
    evaluate,
)
from enforcer.cbpf.corpus import boundary_values, comparisons, corpus
from enforcer.cbpf.fast import fast_simulator
from enforcer.condition import (
    LOW_HALF,
    TRUE,
    WORD,
    All,
    Any,
    Compare,
    Condition,
    Not,
    Operator,
    holds,
)
from harness.fuzz.strategies.filters import conditions

libseccomp = pytest.importorskip("enforcer.cbpf.libseccomp", reason="needs libseccomp")

ENOSYS = ERRNO(38)
LOADED = ("x86_64", "i386", "arm", "arm64", "riscv64", "ppc64le")


def one_call(when: Condition, *abis: str) -> FilterSpec:
    """read: denied where `when` holds, else allowed."""
    clauses = (SpecClause(when, ERRNO(1)), SpecClause(TRUE, ALLOW))
    numbers = {"x86_64": 0, "i386": 3, "arm": 3, "arm64": 63, "riscv64": 63, "ppc64le": 3}
    tables = tuple(AbiTable(ABIS[abi], {numbers[abi]: clauses}, ENOSYS) for abi in abis)
    return FilterSpec(tables, KILL_PROCESS)


def differences(spec: FilterSpec, optimize: int) -> list[str]:
    """The calls of the corpus that libseccomp's filter answers otherwise.

    Unlisted numbers with an x32 bit are left out: it counts them as a foreign ABI's.
    """
    listed = {number for table in spec.tables for number in table.calls}
    program = libseccomp.compile_libseccomp(spec, optimize=optimize)
    check(program)
    simulator = fast_simulator(program)
    return [
        f"{call}: {simulator(call):#x}, specified {evaluate(spec, call):#x}"
        for call in corpus(spec)
        if (call.nr < 0x4000_0000 or call.nr in listed) and simulator(call) != evaluate(spec, call)
    ]


@pytest.mark.parametrize("optimize", [1, 2])
@pytest.mark.parametrize(
    "when",
    [
        TRUE,
        Compare(0, Operator.EQ, 5 << 32 | 5),
        Compare(0, Operator.NE, 5),
        Compare(1, Operator.EQ, 5, LOW_HALF),
        Compare(1, Operator.NE, 4, 6),
        Compare(1, Operator.GT, 0x12, 0xFF),
        Compare(1, Operator.LE, 0x12, 0xFF),
        Compare(1, Operator.GE, 0x12, 0xFF),
        Compare(1, Operator.LT, 0x12, 0xFF),
        All((Compare(0, Operator.EQ, 1), Compare(1, Operator.EQ, 2))),
        Any((Compare(0, Operator.EQ, 1), Compare(1, Operator.EQ, 2))),
        All((Compare(0, Operator.EQ, 1, 3), Compare(0, Operator.EQ, 4, 4))),
        All((Compare(0, Operator.EQ, 1), Compare(0, Operator.LT, 9))),
    ],
    ids=str,
)
def test_plain_shapes_are_right(when: Condition, optimize: int) -> None:
    """Shapes that libseccomp handles: its filter equals the specification on four machines."""
    for abis in (("x86_64", "i386"), ("arm64", "arm"), ("riscv64",), ("ppc64le",)):
        assert differences(one_call(when, *abis), optimize) == []


def test_always_answer_of_the_default_needs_no_rule() -> None:
    """A call answered like an unknown one is left to libseccomp's default."""
    table = AbiTable(ABIS["x86_64"], {0: always(ENOSYS), 1: always(ALLOW)}, ENOSYS)
    assert differences(FilterSpec((table,), KILL_PROCESS), 1) == []


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (FilterSpec((), KILL_PROCESS), "without any architecture"),
        (
            FilterSpec((AbiTable(ABIS["x86_64"], {9999: always(ALLOW)}, ENOSYS),), KILL_PROCESS),
            "number 9999 has no name",
        ),
        (
            FilterSpec((AbiTable(ABIS["x86_64"], {462: always(ALLOW)}, ENOSYS),), KILL_PROCESS),
            "mseal: libseccomp does not know",
        ),
        (one_call(Compare(0, Operator.GT, 5, 0xF2), "x86_64"), "> 0x5 with mask"),
        (
            one_call(All((Compare(0, Operator.GT, 5), Compare(0, Operator.LT, 9))), "x86_64"),
            "two comparisons of argument 0",
        ),
        (
            one_call(All(tuple(Compare(n, Operator.NE, 0, WORD >> 1) for n in (0, 1))), "x86_64"),
            "more than 64 terms",
        ),
        (
            one_call(Any(tuple(Compare(0, Operator.EQ, value) for value in range(70))), "x86_64"),
            "more than 64 terms",
        ),
    ],
    ids=["empty", "nameless", "new", "mask", "range", "product", "sum"],
)
def test_what_it_cannot_express_is_refused_with_the_reason(spec: FilterSpec, reason: str) -> None:
    """Never approximated."""
    with pytest.raises(libseccomp.LibseccompUnsupported, match=reason):
        libseccomp.compile_libseccomp(spec)


@settings(max_examples=200, deadline=None)
@given(st.lists(conditions, max_size=3), st.data())
def test_terms_are_disjoint_and_complete(whens: list[Condition], data: st.DataObject) -> None:
    """The translation into libseccomp's rules keeps the meaning: one answer, the first clause's."""
    spec = [SpecClause(when, ERRNO(index + 1)) for index, when in enumerate(whens)]
    abi = ABIS[data.draw(st.sampled_from(["x86_64", "i386"]))]
    try:
        terms = libseccomp.disjoint_terms(spec, abi)
    except libseccomp.LibseccompUnsupported:
        return
    table = FilterSpec((AbiTable(abi, {1: tuple(spec)}, ENOSYS),), KILL_PROCESS)
    values = [0, *(value for each in comparisons(spec) for value in boundary_values(each))]
    mask = (1 << abi.bits) - 1
    for _ in range(10):
        args = data.draw(st.tuples(*[st.sampled_from(values)] * 6))
        narrow = [value & mask for value in args]
        answers = {answer for answer, term in terms if holds(All(term), narrow)}
        call = SeccompData(1, abi.audit_arch, args)
        assert answers == {evaluate(table, call)} - {ENOSYS}


def test_finding_x32_registers_are_cut() -> None:
    """A finding: libseccomp compares only the low halves of x32's 64-bit registers.

    A fix in libseccomp makes this fail; then the finding is history.
    """
    clauses = (SpecClause(Compare(2, Operator.EQ, 5), ERRNO(1)), SpecClause(TRUE, ALLOW))
    table = AbiTable(ABIS["x32"], {0x4000_0000: clauses}, ENOSYS)
    found = differences(FilterSpec((table,), KILL_PROCESS), 1)
    assert found
    assert any("specified 0x7fff0000" in text for text in found)


def test_negation_reaches_every_operator() -> None:
    """`not` turns each comparison into its opposite before libseccomp sees it."""
    for operator in Operator:
        spec = one_call(Not(Compare(0, operator, 7 << 32)), "x86_64")
        assert differences(spec, 1) == [], operator

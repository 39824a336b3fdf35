"""Hypothesis strategies: filter specifications and calls on their boundaries."""

from __future__ import annotations

from hypothesis import strategies as st

from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.cbpf.corpus import FOREIGN_ARCH, boundary_values, comparisons
from enforcer.cbpf.spec import (
    ALLOW,
    CANCELLED,
    ERRNO,
    KILL_PROCESS,
    LOG,
    TRACE,
    USER_NOTIF,
    AbiTable,
    FilterSpec,
    SeccompData,
    SpecClause,
)
from enforcer.condition import LOW_HALF, WORD, All, Any, Compare, Condition, Not, Operator

MACHINES: dict[str, tuple[Abi, ...]] = {
    "x86_64": (ABIS["x86_64"], ABIS["i386"], ABIS["x32"]),
    "arm64": (ABIS["arm64"], ABIS["arm"]),
    "riscv64": (ABIS["riscv64"],),
    "s390x": (ABIS["s390x"],),
    "ppc64le": (ABIS["ppc64le"],),
}

ANSWERS = st.sampled_from(
    [ALLOW, ERRNO(1), ERRNO(0), ERRNO(4095), TRACE(7), USER_NOTIF, LOG, KILL_PROCESS]
)

words = st.one_of(
    st.sampled_from([0, 1, 2, 3, 1 << 31, (1 << 31) - 1, LOW_HALF, 1 << 32, (1 << 32) + 1]),
    st.sampled_from([5 << 32 | 5, 5 << 32 | 6, 6 << 32 | 5, 1 << 63, (1 << 63) - 1, WORD]),
    st.integers(0, WORD),
)

masks = st.one_of(
    st.just(WORD),
    st.just(LOW_HALF),
    st.sampled_from([0, 1, 0xFF, 1 << 40, LOW_HALF << 32, 0xF000_0000_F, 1 << 63]),
    words,
)

compares = st.builds(Compare, st.integers(0, 5), st.sampled_from(Operator), words, masks)


def _groups(members: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(members, max_size=3).map(tuple)
    return st.one_of(several.map(All), several.map(Any), members.map(Not))


conditions: st.SearchStrategy[Condition] = st.recursive(compares, _groups, max_leaves=6)

clauses = st.lists(st.builds(SpecClause, conditions, ANSWERS), max_size=4).map(tuple)


@st.composite
def specs(draw: st.DrawFn, machine: str = "") -> FilterSpec:
    """A filter for some of the ABIs of one machine, over numbers near each other and far apart."""
    machine = machine or draw(st.sampled_from(sorted(MACHINES)))
    abis = draw(st.lists(st.sampled_from(MACHINES[machine]), min_size=1, unique=True))
    numbers = st.one_of(st.integers(0, 12), st.sampled_from([435, 1 << 29, 0x3FFF_FFFF]))
    tables = []
    for abi in abis:
        calls = draw(st.dictionaries(numbers, clauses, max_size=8))
        listed = {number | abi.nr_bit: found for number, found in calls.items()}
        tables.append(AbiTable(abi, listed, draw(ANSWERS)))
    return FilterSpec(tuple(tables), draw(ANSWERS))


@st.composite
def calls_for(draw: st.DrawFn, spec: FilterSpec) -> SeccompData:
    """A call on or next to a boundary of `spec`."""
    table = draw(st.sampled_from(spec.tables))
    numbers = sorted(table.calls) or [0]
    number = draw(
        st.one_of(
            st.sampled_from(numbers),
            st.sampled_from(numbers).map(lambda nr: nr + 1),
            st.sampled_from([0, CANCELLED, CANCELLED - 1, 1 << 30, (1 << 30) - 1, 3 << 30]),
            st.integers(0, CANCELLED),
        )
    )
    near = [
        value
        for compare in comparisons(table.calls.get(number, ()))
        for value in boundary_values(compare)
    ]
    registers = st.one_of(st.sampled_from(near), words) if near else words
    arches = st.one_of(st.just(table.abi.audit_arch), st.just(FOREIGN_ARCH))
    args = draw(st.tuples(*[registers] * 6))
    return SeccompData(number, draw(arches), args, draw(words))

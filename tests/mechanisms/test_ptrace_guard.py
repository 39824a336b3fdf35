"""Memory calls that could reach the slots where they cannot be sealed."""

from __future__ import annotations

import pytest

from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.call import Action
from enforcer.cbpf.spec import ACTION_MASK, TRACE, AbiTable
from enforcer.condition import holds
from enforcer.mechanisms.ptrace.filter import build_filter
from enforcer.mechanisms.ptrace.slots import SPAN, Arena
from enforcer.policy.ast import Dialect, Policy
from enforcer.syscalls import number

PERMISSIVE = Policy(binary=None, dialect=Dialect.STRICT, rules=(), default=Action.PERMIT)
PAGE = 4096
BIG = 0x2000_0000
SIMPLE = ("munmap", "mprotect", "madvise")
TRACED = [abi for abi in ABIS.values() if not abi.nr_bit]
NARROW = [ABIS["i386"], ABIS["arm"]]


def _answer(table: AbiTable, name: str, args: tuple[int, ...]) -> int:
    nr = number(table.abi.name, name)
    assert nr is not None
    six = (*args, 0, 0, 0, 0, 0, 0)[:6]
    return next(clause.answer for clause in table.calls[nr] if holds(clause.when, six))


@pytest.mark.parametrize("abi", TRACED, ids=lambda abi: abi.name)
def test_what_reaches_the_slots_stops(abi: Abi) -> None:
    """Ranges that end, begin or lie in them, or span them, are the tracer's to judge."""
    table = build_filter([PERMISSIVE], [abi]).tables[0]
    base = abi.spare_address
    size = Arena(b"").size
    assert size <= SPAN
    reaching = [
        (base, PAGE),
        (base + size - PAGE, PAGE),
        (base - PAGE, 2 * PAGE),
        (max(PAGE, base - BIG), BIG + PAGE),
        (PAGE, base),
        (abi.tag_bits & ~(1 << 63) | base, PAGE),
        (abi.tag_bits & ~(1 << 63) | base - PAGE, 2 * PAGE),
    ]
    for start, length in reaching:
        for name in SIMPLE:
            assert _answer(table, name, (start, length)) & ACTION_MASK == TRACE(), (name, start)
        old = _answer(table, "mremap", (start, length, length, 0, 0))
        new = _answer(table, "mremap", (BIG * 5, PAGE, length, 3, start))
        assert (old & ACTION_MASK, new & ACTION_MASK) == (TRACE(), TRACE())


@pytest.mark.parametrize("abi", TRACED, ids=lambda abi: abi.name)
def test_who_says_where_the_heap_ends_stops(abi: Abi) -> None:
    """brk(2) would unmap the slots below such an end; other words of PR_SET_MM are not seen."""
    table = build_filter([PERMISSIVE], [abi]).tables[0]
    stopped = {
        word
        for word in range(1, 16)
        if _answer(table, "prctl", (35, word)) & ACTION_MASK == TRACE()
    }
    assert stopped == {6, 7, 14}


@pytest.mark.parametrize("abi", NARROW, ids=lambda abi: abi.name)
def test_the_rest_goes_on_in_the_kernel(abi: Abi) -> None:
    """Memory elsewhere is nobody's business: a program's first pages on arm, the libraries."""
    table = build_filter([PERMISSIVE], [abi]).tables[0]
    free = [(0xB000_0000, PAGE)]
    if abi.spare_address > BIG:
        free += [(0x1_0000, PAGE), (0x0100_0000, PAGE)]
    for start, length in free:
        for name in SIMPLE:
            assert _answer(table, name, (start, length)) & ACTION_MASK != TRACE(), (name, start)

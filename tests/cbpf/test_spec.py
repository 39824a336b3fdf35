"""What a filter specification means."""

from __future__ import annotations

import pytest

from enforcer.arch import ABIS
from enforcer.cbpf.spec import (
    ACTION_MASK,
    ACTION_NAMES,
    ALLOW,
    DATA_MASK,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    TRAP,
    USER_NOTIF,
    AbiTable,
    FilterSpec,
    SeccompData,
    SpecClause,
    evaluate,
)
from enforcer.condition import Compare, Operator


@pytest.mark.parametrize(
    ("made", "expected"),
    [(ERRNO(1), 0x0005_0001), (ERRNO(4095), 0x0005_0FFF), (TRACE(9), 0x7FF0_0009)],
)
def test_answers_are_the_kernels(made: int, expected: int) -> None:
    """Action in the upper half, data in the lower."""
    assert made == expected


def test_actions_are_the_kernels() -> None:
    """SECCOMP_RET_* of linux/seccomp.h, as seccomp(2) names them."""
    assert ACTION_NAMES == {
        0x8000_0000: "KILL_PROCESS",
        0x0000_0000: "KILL_THREAD",
        0x0003_0000: "TRAP",
        0x0005_0000: "ERRNO",
        0x7FC0_0000: "USER_NOTIF",
        0x7FF0_0000: "TRACE",
        0x7FFC_0000: "LOG",
        0x7FFF_0000: "ALLOW",
    }
    assert (KILL_PROCESS, KILL_THREAD, TRAP) == (0x8000_0000, 0, 0x0003_0000)
    assert (ERRNO(0), USER_NOTIF, TRACE()) == (0x0005_0000, 0x7FC0_0000, 0x7FF0_0000)
    assert (LOG, ALLOW) == (0x7FFC_0000, 0x7FFF_0000)
    assert (ACTION_MASK, DATA_MASK) == (0xFFFF_0000, 0xFFFF)


@pytest.mark.parametrize("number", [-1, 4096, 0x10000])
def test_errno_beyond_the_kernels_range_is_refused(number: int) -> None:
    """The kernel would cap it at 4095 and so answer something else."""
    with pytest.raises(ValueError, match="errno"):
        ERRNO(number)


def test_trace_data_is_sixteen_bits() -> None:
    """More would spill into the action."""
    for data in (-1, 0x10000):
        with pytest.raises(ValueError, match="trace"):
            TRACE(data)
    assert TRACE(0xFFFF) == 0x7FF0_FFFF


def test_first_clause_that_holds_answers() -> None:
    """Order decides, and the table's unknown where nothing holds."""
    clauses = (
        SpecClause(Compare(0, Operator.GE, 5), ERRNO(5)),
        SpecClause(Compare(0, Operator.GE, 3), ALLOW),
    )
    table = AbiTable(ABIS["x86_64"], {1: clauses}, ERRNO(38))
    spec = FilterSpec((table,), KILL_PROCESS)

    def answer(value: int) -> int:
        return evaluate(spec, SeccompData(1, 0xC000_003E, (value, 0, 0, 0, 0, 0)))

    assert [answer(value) for value in (6, 4, 2)] == [ERRNO(5), ALLOW, ERRNO(38)]


@pytest.mark.parametrize(("abi", "low", "high"), [("x86_64", 4, 5), ("arm", 4, 5), ("s390x", 5, 4)])
def test_words_lie_in_the_machines_order(abi: str, low: int, high: int) -> None:
    """The halves of a register change places on a big-endian machine."""
    data = SeccompData(3, ABIS[abi].audit_arch, (0xAAAA_0000_BBBB, 0, 0, 0, 0, 0), 1)
    words = data.words()
    assert len(words) == 16
    assert words[:2] == (3, ABIS[abi].audit_arch)
    assert (words[low], words[high]) == (0x0000_BBBB, 0xAAAA)


def test_byte_orders_are_told_by_the_architecture() -> None:
    """Of every ABI; a call has zeros where nothing else is said."""
    for abi in ABIS.values():
        data = SeccompData(7, abi.audit_arch)
        assert data.big_endian is abi.big_endian
        assert data.words() == (7, abi.audit_arch, *(0,) * 14)


def test_origins_are_no_part_of_a_clause() -> None:
    """They name rules in messages, and compiled filters share clauses of several rules."""
    when = Compare(0, Operator.EQ, 1)
    assert SpecClause(when, ALLOW, "one") == SpecClause(when, ALLOW, "other")
    assert SpecClause(when, ALLOW) != SpecClause(when, LOG)

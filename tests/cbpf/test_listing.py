"""The listing of a filter, and what is known at each of its instructions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from enforcer.arch import ABIS
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    TRACE,
    AbiTable,
    Code,
    FilterSpec,
    Instruction,
    Program,
    SpecClause,
    always,
    compile_filter,
    simulate,
)
from enforcer.cbpf.corpus import corpus
from enforcer.cbpf.listing import answer_name, listing
from enforcer.cbpf.names import constant_name
from enforcer.cbpf.reach import Numbers, Subject, follow
from enforcer.condition import LOW_HALF, TRUE, Compare, Operator
from enforcer.syscalls import number, syscall, table
from harness.fuzz.strategies.filters import specs
from tests.cbpf.programs import valid_programs

ENOSYS = ERRNO(38)


def spec_of(abi: str, name: str, *clauses: SpecClause) -> FilterSpec:
    calls = {nr: always(ALLOW) for nr in table(abi).values()}
    nr = number(abi, name)
    assert nr is not None
    calls[nr] = (*clauses, SpecClause(TRUE, ALLOW))
    return FilterSpec((AbiTable(ABIS[abi], calls, ENOSYS),), KILL_PROCESS)


def listed(spec: FilterSpec, abi: str) -> str:
    return listing(compile_filter(spec), big_endian=ABIS[abi].big_endian)


def test_small_filter_reads_like_this() -> None:
    """A whole listing: headings, fields, signs, ways, answers."""
    clauses = (
        SpecClause(Compare(1, Operator.EQ, 0x5412, LOW_HALF), ERRNO(1)),
        SpecClause(TRUE, ALLOW),
    )
    table = AbiTable(ABIS["x86_64"], {16: clauses}, ENOSYS)
    lines = listing(compile_filter(FilterSpec((table,), KILL_PROCESS))).splitlines()
    assert [line.split() for line in lines] == [
        ["0", "ld", "arch"],
        ["1", "if", "arch", "==", "x86_64", "or", "x32", "3", ":", "."],
        ["2", "ret", "KILL_PROCESS"],
        ["3", "ld", "nr"],
        ["4", "if", "nr", "==", "16", "(ioctl)", "6", ":", "."],
        ["5", "ret", "ERRNO(38", "ENOSYS)"],
        ["--", "ioctl", "(x86_64)"],
        ["6", "ld", "arg1.low"],
        ["7", "if", "arg1.low", "==", "0x5412", "(TIOCSTI)", "9", ":", "."],
        ["8", "ret", "ALLOW"],
        ["9", "ret", "ERRNO(1", "EPERM)"],
    ]


@pytest.mark.parametrize(
    ("abi", "call", "compare", "shown"),
    [
        ("x86_64", "ioctl", Compare(1, Operator.EQ, 0x5412, LOW_HALF), "0x5412 (TIOCSTI)"),
        ("x86_64", "openat", Compare(2, Operator.EQ, 0o100, 0o100), "& 0x40 (O_CREAT)"),
        ("x86_64", "socket", Compare(0, Operator.EQ, 16, LOW_HALF), "0x10 (AF_NETLINK)"),
        ("x86_64", "mprotect", Compare(2, Operator.EQ, 4, 4), "& 0x4 (PROT_EXEC)"),
        ("x86_64", "prctl", Compare(0, Operator.EQ, 22, LOW_HALF), "0x16 (PR_SET_SECCOMP)"),
        ("x86_64", "mmap", Compare(1, Operator.GT, 1 << 32 | 5), "arg1.high > 0x1"),
        ("s390x", "mprotect", Compare(1, Operator.GT, 1 << 32 | 5), "arg1.high > 0x1"),
        ("s390x", "openat", Compare(2, Operator.EQ, 0o100, 0o100), "& 0x40 (O_CREAT)"),
        ("x86_64", "read", Compare(2, Operator.EQ, 0x50, 0xF0), "(arg2.low & 0xf0) == 0x50"),
        ("x32", "ioctl", Compare(1, Operator.EQ, 7), "ioctl (x32)"),
        ("arm64", "ioctl", Compare(1, Operator.EQ, 7), "(ioctl)"),
        ("x86_64", "clone", Compare(0, Operator.EQ, 1 << 28, 1 << 28), "(CLONE_NEWUSER)"),
        ("s390x", "clone", Compare(1, Operator.EQ, 1 << 28, 1 << 28), "(CLONE_NEWUSER)"),
        ("x86_64", "getpid", Compare(0, Operator.EQ, 7), "arg0.low == 0x7 "),
    ],
)
def test_calls_and_constants_have_names(abi: str, call: str, compare: Compare, shown: str) -> None:
    """By the argument's kind, on both byte orders."""
    assert shown in listed(spec_of(abi, call, SpecClause(compare, ERRNO(1))), abi)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (ALLOW, "ALLOW"),
        (KILL_PROCESS, "KILL_PROCESS"),
        (0, "KILL_THREAD"),
        (ERRNO(13), "ERRNO(13 EACCES)"),
        (ERRNO(3909), "ERRNO(3909)"),
        (ERRNO(0), "ERRNO(0)"),
        (TRACE(5), "TRACE(5)"),
        (0x1234_0000, "0x12340000 (as KILL_PROCESS)"),
    ],
)
def test_answers_have_names(answer: int, shown: str) -> None:
    """Those that the kernel does not know are told as what it takes them for."""
    assert answer_name(answer) == shown


def test_constants_without_a_name() -> None:
    """Zero, unknown values and plain numbers stay numbers."""
    command, size = syscall("ioctl").arguments[1], syscall("read").arguments[2]
    assert constant_name("x86_64", "ioctl", command, 0x7777_7777) == ""
    assert constant_name("x86_64", "ioctl", command, 0) == ""
    assert constant_name("x86_64", "read", size, 2) == ""


def test_many_calls_get_no_heading() -> None:
    """A heading names at most four calls, and no constant is guessed where several come."""
    clauses = (SpecClause(Compare(1, Operator.EQ, 0x5412), ERRNO(1)), SpecClause(TRUE, ALLOW))
    for count, heading in ((4, "read (x86_64), write (x86_64), open (x86_64), close"), (5, None)):
        calls = dict.fromkeys(range(count), clauses)
        table = AbiTable(ABIS["x86_64"], calls, ENOSYS)
        text = listing(compile_filter(FilterSpec((table,), KILL_PROCESS)))
        assert ("--" in text) == (heading is not None)
        assert heading is None or heading in text
        assert "TIOCSTI" not in text


def test_other_peoples_programs() -> None:
    """Every operation can be shown, also what nothing leads to."""
    text = listing(
        (
            Instruction(Code.LD_IMM, 5),
            Instruction(Code.JEQ, 5, 1, 0),
            Instruction(Code.JEQ_X, 0, 0, 1),
            Instruction(Code.LD, 8),
            Instruction(Code.JSET, 1, 1, 2),
            Instruction(Code.TAX),
            Instruction(Code.JA, 1),
            Instruction(Code.RET_A),
            Instruction(0xFFFF, 3),
            Instruction(Code.RET, ALLOW),
        )
    )
    for shown in ("ld_imm 0x5", "? == 0x5", "jeq_x 0x0 0 1", "ip.low", "ja    8", "op 0xffff"):
        assert shown in text
    assert "unreachable" in listing(
        (Instruction(Code.JA, 1), Instruction(Code.TAX), Instruction(Code.RET, ALLOW))
    )


@settings(max_examples=100, deadline=None)
@given(valid_programs())
def test_every_program_can_be_listed(program: Program) -> None:
    """One line an instruction at least, and no failure."""
    assert len(listing(program).splitlines()) >= len(program)


@settings(max_examples=60, deadline=None)
@given(specs())
def test_calls_said_to_reach_an_instruction_do(spec: FilterSpec) -> None:
    """What `follow` says of an instruction includes every call that really comes there."""
    program = compile_filter(spec)
    states = follow(program)
    for call in corpus(spec, draws=1):
        _, visited = simulate(program, call)
        for index in visited:
            state = states[index]
            assert state is not None
            numbers = state.calls.get(call.arch, state.calls.get(None))
            assert numbers is not None
            assert any(low <= call.nr < high for low, high in numbers.ranges)


def test_numbers() -> None:
    """Sets of numbers as ranges."""
    some = Numbers(((1, 3), (5, 6)))
    assert (some.size, list(some)) == (3, [1, 2, 5])
    assert some.within(2, 6) == Numbers(((2, 3), (5, 6)))
    assert some.within(3, 5) == Numbers(())
    assert some | Numbers(((3, 5),)) == Numbers(((1, 6),))


def test_branches_on_numbers_divide_them() -> None:
    """JGT, JGE and JEQ leave each way the numbers that take it."""
    ends = (Instruction(Code.RET, 1), Instruction(Code.RET, 2))
    for code, taken in (
        (Code.JEQ, ((7, 8),)),
        (Code.JGE, ((7, 1 << 32),)),
        (Code.JGT, ((8, 1 << 32),)),
        (Code.JSET, ((0, 1 << 32),)),
    ):
        states = follow((Instruction(Code.LD, 0), Instruction(code, 7, 0, 1), *ends))
        assert states[2] is not None
        assert states[2].calls == {None: Numbers(taken)}
        assert states[2].subject == Subject(0)
    twice = (Instruction(Code.JEQ, 9, 0, 1), Instruction(Code.JEQ, 9, 1, 0))
    states = follow((Instruction(Code.LD, 4), *twice, *ends))
    assert states[4] is not None
    assert states[4].calls.keys() == {9}

"""Intersection and union of filters: defined call by call, and what rules are made of programs."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.arch import ABIS, native
from enforcer.cbpf.check import check
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.corpus import corpus
from enforcer.cbpf.instruction import ARCH_OFFSET, Code, Instruction, Program
from enforcer.cbpf.simulate import simulate
from enforcer.cbpf.spec import ALLOW, ERRNO, LOG, FilterSpec, SeccompData, evaluate
from enforcer.cli import cli
from enforcer.filters.combine import in_turn, intersection, one_program, union
from enforcer.filters.convert import policy_of
from enforcer.filters.meaning import answer_of, compared, mildest, strictest
from enforcer.filters.model import Filter, Form
from enforcer.filters.operand import filter_of_policies, read_operand
from enforcer.filters.raw import of_programs
from enforcer.filters.recover import spec_of
from enforcer.policy.load import prepared
from enforcer.policy.problem import PolicyError
from harness.fuzz.strategies.filters import MACHINES, specs
from tests.filters.filters import ALLOW as PERMITTED
from tests.filters.filters import profile, said, written

pytestmark = pytest.mark.skipif(
    native().name != "x86_64", reason="the tables below are those of x86_64"
)
ABOVE = {"names": ["socket"], "action": PERMITTED, "args": [{"value": 40, "op": "SCMP_CMP_GT"}]}
LEFT = profile({"names": ["read", "write"], "action": PERMITTED}, ABOVE)
RIGHT = profile({"names": ["write", "socket", "kill"], "action": PERMITTED}, defaultErrnoRet=38)
KAFEL = "ALLOW { read, close { fd > 2 } }, ERRNO(5) { write } DEFAULT KILL_PROCESS\n"
QUICK = settings(max_examples=10, deadline=None)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    return (
        written(tmp_path, "a.json", LEFT),
        written(tmp_path, "b.json", RIGHT),
        written(tmp_path, "c.kafel", KAFEL),
    )


def calls_of(*found: FilterSpec) -> list[SeccompData]:
    calls = [data for spec in found for data in corpus(spec, draws=1)]
    return random.Random(1).sample(calls, min(200, len(calls)))


def filter_of(spec: FilterSpec, *, with_spec: bool = True) -> Filter:
    return Filter(
        source="x",
        form=Form.BPF,
        abis=tuple(table.abi for table in spec.tables),
        programs=(compile_filter(spec),),
        spec=spec if with_spec else None,
    )


def pairs() -> st.SearchStrategy[tuple[FilterSpec, FilterSpec]]:
    """Two filters of one machine."""
    return st.sampled_from(sorted(MACHINES)).flatmap(lambda m: st.tuples(specs(m), specs(m)))


@QUICK
@given(pairs())
def test_every_call_gets_the_strictest_or_the_mildest(two: tuple[FilterSpec, FilterSpec]) -> None:
    """As text and as program, on the boundaries of both; a program is one that the kernel loads."""
    one, other = two
    for with_spec in (True, False):
        pair = [filter_of(each, with_spec=with_spec) for each in (one, other)]
        both, either = intersection(pair, "both"), union(pair, "either")
        single = one_program(both)
        check(single)
        check(either.programs[0])
        for data in calls_of(one, other):
            answers = [evaluate(each, data) for each in (one, other)]
            assert answer_of(both, data) == simulate(single, data)[0] == strictest(answers)
            assert answer_of(either, data) == mildest(answers)
            for made, wanted in ((both, strictest), (either, mildest)):
                if made.spec is not None:
                    assert evaluate(made.spec, data) == wanted(answers)


def test_operands(files: tuple[Path, Path, Path]) -> None:
    """`A|B` is one that permits what either does; `+` binds closer; the order settles errnos."""
    a, b, c = files
    either = read_operand(f"{a}|{b}")
    assert [said(either, call) for call in ("read", "kill", "close")] == [
        *("ALLOW", "ALLOW", "ERRNO(1 EPERM)")
    ]
    assert said(read_operand(f"{b}|{a}"), "close") == "ERRNO(38 ENOSYS)"
    closer = read_operand(f"{a}+{b}|{c}")
    assert [said(closer, "read"), said(closer, "close", 3)] == ["ALLOW", "ALLOW"]
    assert said(closer, "socket", 41) == "ALLOW"
    assert said(read_operand(f"{a}+{b}"), "read") == "ERRNO(38 ENOSYS)"


def test_laws(files: tuple[Path, Path, Path]) -> None:
    """Each with itself is itself, and each absorbs: A|(A+B) and A+(A|B) permit what A does."""
    a, b, _ = map(read_operand, map(str, files))
    for together in (intersection, union):
        assert compared(a, together([a, a], "x")).is_equal
    assert compared(a, union([a, intersection([a, b], "x")], "y")).is_equal
    assert compared(a, intersection([a, union([a, b], "x")], "y")).is_equal


def test_abis_that_one_of_them_does_not_name(files: tuple[Path, Path, Path]) -> None:
    """kafel's is for x86_64 alone and kills the others, which the other one's answers outlive."""
    a, _, c = files
    both = read_operand(f"{a}+{c}")
    assert said(both, "read", abi="i386") == "KILL_THREAD"
    assert said(read_operand(f"{a}|{c}"), "read", abi="x32") == "KILL_THREAD"
    assert said(both, "write") == "ERRNO(5 EIO)"


def test_commands(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """explain, check, export and diff take them; a compiled one answers as the text."""
    a, b, c = files
    run = CliRunner().invoke
    found = run(cli, ["explain", f"{a}|{b}", "socket", "1"]).output
    assert found.startswith("x86_64 socket(1) -> ALLOW")
    assert "permit: [read, write]" in run(cli, ["check", "--format", f"{a}+{a}"]).output
    for sign in "+|":
        out = tmp_path / f"{ord(sign)}.bpf"
        done = run(cli, ["export", f"{a}{sign}{c}", "--to", "bpf", "-o", str(out)])
        assert done.exit_code == 0, done.output
        assert run(cli, ["diff", str(out), f"{a}{sign}{c}"]).exit_code == 0
    lacking = run(cli, ["diff", f"{a}+", str(a)])
    assert (lacking.exit_code, "a file is missing beside" in lacking.output) == (2, True)


def test_a_computed_answer_is_not_put_together() -> None:
    """A program whose answer is in a register has no list of answers to choose from."""
    computes = (Instruction(Code.LD_IMM, ALLOW), Instruction(Code.RET_A, 0))
    with pytest.raises(ValueError, match="computes its answer"):
        in_turn([computes, computes], strictest)


def test_the_second_begins_afresh() -> None:
    """What the first left in its register is not what the second finds there."""
    loads = (Instruction(Code.LD_IMM, 7), Instruction(Code.RET, ALLOW))
    tests: Program = (
        Instruction(Code.JEQ, 0, 0, 1),
        Instruction(Code.RET, LOG),
        Instruction(Code.RET, ERRNO(1)),
    )
    data = SeccompData(0, ABIS["x86_64"].audit_arch)
    assert simulate(in_turn([loads, tests], strictest), data)[0] == LOG


def test_too_many_instructions() -> None:
    """What the kernel would not load is told with its size."""
    long = (*(Instruction(Code.LD, ARCH_OFFSET),) * 4000, Instruction(Code.RET, ALLOW))
    short = (*(Instruction(Code.LD, ARCH_OFFSET),) * 200, Instruction(Code.RET, ERRNO(1)))
    with pytest.raises(ValueError, match=r"they need 4204 instructions"):
        in_turn([long, short], strictest)


@QUICK
@given(specs())
def test_a_program_as_rules(spec: FilterSpec) -> None:
    """What is recovered answers every call by name as the program, whatever its registers."""
    mine = filter_of(spec, with_spec=False)
    if not {each.abi.name for each in spec.tables} & {"x86_64", "arm64", "s390x"}:
        return
    found = spec_of(mine)
    named = {(table.abi.audit_arch, nr) for table in found.tables for nr in table.calls}
    for data in calls_of(spec):
        if (data.arch, data.nr) in named:
            assert evaluate(found, data) == answer_of(mine, data)


def test_a_compiled_profile_is_a_policy_again(files: tuple[Path, Path, Path]) -> None:
    """By name and with its comparisons whole, where no half of a register is looked at alone."""
    _, _, c = files
    text = read_operand(str(c))
    raw = replace(text, spec=None, form=Form.BPF)
    again = filter_of_policies(prepared((policy_of(raw),)), "again")
    plain = filter_of_policies(prepared((policy_of(text),)), "text")
    assert compared(again, plain).is_equal


def test_halves_of_a_register_stay_apart(files: tuple[Path, Path, Path]) -> None:
    """What passes for its upper half alone passes for it in the rules too."""
    mine = read_operand(str(files[0]))
    found = spec_of(replace(mine, spec=None))
    for value in (1, 41, 1 << 32 | 1, 40 << 32):
        data = SeccompData(41, ABIS["x86_64"].audit_arch, (value, 0, 0, 0, 0, 0))
        assert evaluate(found, data) == answer_of(mine, data), value


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ((Instruction(Code.LD, 8), Instruction(Code.JEQ, 5, 0, 1)), "the instruction pointer"),
        ((Instruction(Code.LD, 16), Instruction(Code.JEQ_X, 0, 0, 1)), "two words"),
    ],
)
def test_a_program_that_no_rules_say(program: Program, why: str) -> None:
    """It is one error, which names what takes it still."""
    ends = (Instruction(Code.RET, ALLOW), Instruction(Code.RET, ERRNO(1)))
    with pytest.raises(PolicyError, match=why) as raised:
        policy_of(of_programs(((*program, *ends),), "x.bpf"))
    assert "run --backend seccomp" in str(raised.value)

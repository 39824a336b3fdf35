"""Policies as filter specifications: everything the filter answers, `decide` answers too."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.arch import ABIS, ARCHES
from enforcer.call import Action, Call, Decision, Elevation
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    TRACE,
    FilterSpec,
    SeccompData,
    always,
    evaluate,
)
from enforcer.cbpf.spec import SpecClause
from enforcer.condition import TRUE, Compare, Operator
from enforcer.mechanisms.filter_spec import kernel_answer, spec_from_policies
from enforcer.policy.ast import (
    Dialect,
    Policy,
    RegisterSymbol,
    Rule,
    TextOperator,
    TextSymbol,
)
from enforcer.policy.decide import decide
from enforcer.syscalls import number, split, table

DEFER = TRACE(1)
ENOSYS = ERRNO(errno.ENOSYS)
X86 = ARCHES["x86_64"].abis


def policy(*rules: Rule, default: Action = Action.PERMIT) -> Policy:
    return Policy(binary=None, dialect=Dialect.STRICT, rules=rules, default=default)


def deny(*calls: str, errno: int = 13, when: RegisterSymbol | TextSymbol | None = None) -> Rule:
    return Rule(calls=calls, when=when, action=Action.DENY, errno=errno)


def register(argument: int, value: int, operator: Operator = Operator.EQ) -> RegisterSymbol:
    return RegisterSymbol(argument=argument, operator=operator, value=value)


def ask(spec: FilterSpec, abi: str, name: str, *registers: int) -> int:
    nr = number(abi, name)
    assert nr is not None
    args = (*registers, 0, 0, 0, 0, 0, 0)[:6]
    return evaluate(spec, SeccompData(nr, ABIS[abi].audit_arch, args))  # type: ignore[arg-type]


def test_every_listed_call_has_clauses() -> None:
    """No call of any ABI is left to the answer for unknown numbers."""
    spec = spec_from_policies([policy()], X86, defer=DEFER)
    for made in spec.tables:
        assert set(made.calls) == set(table(made.abi.name).values())


def test_unlisted_number_and_foreign_abi() -> None:
    """ENOSYS also under `default: permit`; a foreign ABI kills."""
    spec = spec_from_policies([policy()], X86[:1], defer=DEFER)
    x86_64 = ABIS["x86_64"].audit_arch
    assert evaluate(spec, SeccompData(4000, x86_64)) == ENOSYS
    assert evaluate(spec, SeccompData(0xFFFF_FFFF, x86_64)) == ENOSYS
    assert evaluate(spec, SeccompData(0x4000_0001, x86_64)) == KILL_PROCESS
    assert evaluate(spec, SeccompData(1, ABIS["i386"].audit_arch)) == KILL_PROCESS


def test_memory_rules_are_deferred_and_others_answered() -> None:
    """A rule on a filename defers the calls it concerns, and no others."""
    by_name = TextSymbol(translator="filename", operator=TextOperator.EQ, operand="/etc/shadow")
    spec = spec_from_policies(
        [policy(deny("openat", when=by_name), deny("mkdir"))], X86, defer=DEFER
    )
    assert ask(spec, "x86_64", "openat") == DEFER
    assert ask(spec, "x86_64", "mkdir") == ERRNO(13)
    assert ask(spec, "x86_64", "read") == ALLOW


def test_register_rules_are_answered_on_every_abi() -> None:
    """The whole register, where the ABI has it."""
    spec = spec_from_policies([policy(deny("ioctl", when=register(1, 0x5412)))], X86, defer=DEFER)
    for abi in X86:
        assert ask(spec, abi.name, "ioctl", 3, 0x5412) == ERRNO(13)
        assert ask(spec, abi.name, "ioctl", 3, 0x5413) == ALLOW
    assert ask(spec, "x86_64", "ioctl", 3, 1 << 32 | 0x5412) == ALLOW
    assert ask(spec, "i386", "ioctl", 3, 1 << 32 | 0x5412) == ERRNO(13)


def test_policies_that_differ_are_deferred() -> None:
    """Filters cannot be taken back: only what all policies agree on is answered in the kernel."""
    spec = spec_from_policies([policy(deny("connect")), policy()], X86, defer=DEFER)
    assert ask(spec, "x86_64", "connect") == DEFER
    assert ask(spec, "x86_64", "read") == ALLOW


def test_no_policy_is_an_error() -> None:
    """Nothing says what such a filter should do."""
    with pytest.raises(ValueError, match="at least one policy"):
        spec_from_policies([], X86, defer=DEFER)


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (Decision(action=Action.PERMIT), ALLOW),
        (Decision(action=Action.DENY, errno=2), ERRNO(2)),
        (Decision(action=Action.DENY), ERRNO(errno.EPERM)),
        (Decision(action=Action.ASK), ERRNO(errno.EPERM)),
        (Decision(action=Action.KILL), KILL_PROCESS),
        (Decision(action=Action.PERMIT, log=True), None),
        (Decision(action=Action.PERMIT, elevation=Elevation(uid=0)), None),
    ],
)
def test_kernel_answers(decision: Decision, expected: int | None) -> None:
    """What is logged or elevated goes to the supervisor."""
    assert kernel_answer(decision) == expected


def test_socketcall_stands_for_its_calls() -> None:
    """socketcall is judged call by call, for rules that look at no argument."""
    spec = spec_from_policies([policy(deny("connect"), deny("sendto", errno=1))], X86, defer=DEFER)
    codes = {"connect": 3, "sendto": 11, "send": 9, "listen": 4}
    answers = {name: ask(spec, "i386", "socketcall", code) for name, code in codes.items()}
    assert answers == {"connect": ERRNO(13), "sendto": ERRNO(1), "send": ERRNO(1), "listen": ALLOW}
    assert ask(spec, "i386", "socketcall", 0x1_0000_0003) == ERRNO(13)
    assert ask(spec, "i386", "socketcall", 99) == ERRNO(errno.EINVAL)


def test_socketcall_with_conditions_is_deferred() -> None:
    """Its arguments lie in memory, where no filter sees them."""
    spec = spec_from_policies([policy(deny("socket", when=register(0, 17)))], X86, defer=DEFER)
    assert ask(spec, "i386", "socketcall", 1) == DEFER
    assert ask(spec, "i386", "socket", 17) == ERRNO(13)


def test_ipc_moves_its_registers() -> None:
    """shmget's arguments are the second to fourth of ipc; the version is not part of the code."""
    rules = deny("shmget", when=register(1, 4096)), deny("msgrcv", when=register(2, 5))
    spec = spec_from_policies([policy(*rules)], X86, defer=DEFER)
    assert ask(spec, "i386", "ipc", 23, 1, 4096) == ERRNO(13)
    assert ask(spec, "i386", "ipc", 23, 4096, 1) == ALLOW
    assert ask(spec, "i386", "ipc", 0x1_0017, 1, 4096) == ERRNO(13)
    assert ask(spec, "i386", "ipc", 12, 0, 0, 5) == DEFER


def test_argument_that_ipc_lacks_is_zero() -> None:
    """A condition on a register beyond the call's own is judged as decide judges it."""
    spec = spec_from_policies([policy(deny("shmget", when=register(5, 0)))], X86, defer=DEFER)
    assert ask(spec, "i386", "ipc", 23, 1, 2, 3, 4, 5) == ERRNO(13)
    spec = spec_from_policies([policy(deny("shmget", when=register(5, 1)))], X86, defer=DEFER)
    assert ask(spec, "i386", "ipc", 23, 1, 1, 1, 1, 1) == ALLOW


def test_forced_clauses_replace_the_policys() -> None:
    """Also behind a multiplexer, unless they look at arguments that lie in memory there."""
    looking = (SpecClause(Compare(0, Operator.EQ, 5), ERRNO(9)), SpecClause(TRUE, ALLOW))
    forced = {"connect": always(ERRNO(7)), "bind": looking, "ipc": always(ERRNO(8))}
    spec = spec_from_policies([policy()], X86, defer=DEFER, forced=forced)
    assert ask(spec, "x86_64", "connect") == ERRNO(7)
    assert ask(spec, "i386", "socketcall", 3) == ERRNO(7)
    assert ask(spec, "x86_64", "bind", 5) == ERRNO(9)
    assert ask(spec, "i386", "socketcall", 2) == DEFER
    assert ask(spec, "i386", "ipc", 23) == ERRNO(8)


def test_origins_name_the_rules() -> None:
    """So that a filter that is too large can say why."""
    spec = spec_from_policies([policy(deny("mkdir"), default=Action.KILL)], X86, defer=DEFER)
    calls = spec.tables[0].calls
    assert calls[number("x86_64", "mkdir") or 0][0].origin == "rule 1"
    assert calls[0][0].origin == "default"


NAMES = ("read", "ioctl", "socket", "mmap", "openat", "clone", "shmget", "kill", "io_uring_setup")
RULED = (*NAMES, "fsread", "fswrite")
VALUES = (0, 1, 2, 3, 5, 0x5412, 0xFFFF_FFFF, 1 << 32, 1 << 32 | 5, 1 << 63)

register_symbols = st.builds(
    RegisterSymbol,
    argument=st.integers(0, 3),
    operator=st.sampled_from(Operator),
    value=st.sampled_from(VALUES),
    mask=st.sampled_from([0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF, 3]),
)
text_symbols = st.builds(
    TextSymbol,
    translator=st.sampled_from(["oflags", "fd", "cmd", "sockdom", "prot", "filename"]),
    operator=st.sampled_from([TextOperator.EQ, TextOperator.SUB, TextOperator.NEQ]),
    operand=st.sampled_from(["ro", "0", "3", "AF_INET", "PROT_EXEC", "/tmp"]),
)
rules = st.builds(
    Rule,
    calls=st.lists(st.sampled_from([*NAMES, "fsread", "fswrite"]), min_size=1, max_size=3).map(
        tuple
    ),
    when=st.one_of(st.none(), register_symbols, text_symbols),
    action=st.sampled_from([Action.PERMIT, Action.DENY, Action.KILL]),
    errno=st.sampled_from([1, 13, 38]),
)
policies = st.builds(
    Policy,
    binary=st.none(),
    dialect=st.sampled_from(Dialect),
    rules=st.lists(rules, max_size=4).map(tuple),
    default=st.sampled_from([Action.PERMIT, Action.DENY, Action.KILL, Action.ASK]),
)


@settings(max_examples=50, deadline=None)
@given(policies, st.data())
def test_answers_of_the_filter_are_those_of_decide(made: Policy, data: st.DataObject) -> None:
    """Where the filter does not defer, it answers as decide does, on every ABI of two machines."""
    abis = data.draw(st.sampled_from([X86, ARCHES["s390x"].abis]))
    spec = spec_from_policies([made], abis, defer=DEFER)
    for _ in range(12):
        abi = data.draw(st.sampled_from(abis))
        name = data.draw(st.sampled_from([*NAMES, "ipc"]))
        nr = number(abi.name, name)
        if nr is None:
            continue
        args = data.draw(st.tuples(*[st.sampled_from(VALUES)] * 6))
        answer = evaluate(spec, SeccompData(nr, abi.audit_arch, args))
        if answer == DEFER:
            continue
        mask = (1 << abi.bits) - 1
        meant = split(abi.name, nr, [value & mask for value in args])
        if meant is None:
            assert answer == ENOSYS
            continue
        assert meant.args is not None
        expected = kernel_answer(decide(made, Call(name=meant.name, abi=abi.name, args=meant.args)))
        assert answer == expected, (name, args)

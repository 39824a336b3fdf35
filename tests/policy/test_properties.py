"""What holds for every policy and every call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from enforcer.call import Action, Call, Value
from enforcer.condition import holds
from enforcer.policy.ast import Dialect, Policy, Rule, TextOperator, TextSymbol
from enforcer.policy.check import check_policy
from enforcer.policy.convert import convert
from enforcer.policy.decide import decide
from enforcer.policy.decider import Decider
from enforcer.policy.explain import explain
from enforcer.policy.format import format_systrace, format_yaml
from enforcer.policy.operators import text_test
from enforcer.policy.parser import parse_systrace, parse_yaml
from enforcer.policy.problem import PolicyError, Problem
from enforcer.policy.register_text import argument_text, register_text_condition
from enforcer.policy.residual import joined, residual
from enforcer.policy.systrace import read_systrace
from enforcer.policy.translators import Origin, Source, sources
from enforcer.policy.wire import policy_from_json, policy_to_json
from enforcer.policy.yaml_form import read_yaml
from enforcer.syscalls.translate import CONSTANTS
from harness.fuzz.strategies.policies import (
    CALLS,
    EXPRESSIONS,
    MEMORY_TEXTS,
    PATTERNS,
    REGISTER_TEXTS,
    calls,
    memory,
    policies,
    registers,
)

TRANSLATED = (
    *("openat", "openat2", "chmod", "chown", "mmap", "mprotect", "clone", "unshare", "ioctl"),
    *("fcntl", "prctl", "kill", "socket", "renameat2", "fork"),
)
"""Calls that have every kind of translated register between them."""

SLOW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@SLOW
@given(policies(Dialect.STRICT))
def test_yaml_round_trip(policy: Policy) -> None:
    """parse(format(p)) == p for every policy that the YAML form can say."""
    text = format_yaml(policy)
    again, problems = read_yaml(text, "x", CONSTANTS)
    assert not problems.found, text
    assert again == policy, text


@SLOW
@given(policies(Dialect.SYSTRACE))
def test_systrace_round_trip(policy: Policy) -> None:
    """parse(format(p)) == p for every policy that systrace's form can say, and in YAML too."""
    text = format_systrace(policy)
    again, problems = read_systrace(text, "x", CONSTANTS)
    assert not problems.found, text
    assert again == (policy,), text
    assert parse_yaml(format_yaml(policy), "x") == policy


@SLOW
@given(st.text(max_size=40).filter(lambda text: "\0" not in text))
def test_operands_round_trip(operand: str) -> None:
    """Any text survives as an operand in both forms, also bytes that are not UTF-8."""
    when = TextSymbol(translator="filename", operator=TextOperator.EQ, operand=operand)
    rule = Rule(calls=("stat",), when=when, action=Action.PERMIT)
    strict = Policy(binary=None, dialect=Dialect.STRICT, rules=(rule,))
    assert parse_yaml(format_yaml(strict), "x") == strict
    systrace = replace(strict, dialect=Dialect.SYSTRACE)
    assert parse_systrace(format_systrace(systrace), "x") == (systrace,)


@SLOW
@given(st.data())
def test_decider_decides_as_decide(data: st.DataObject) -> None:
    """The hot path gives decide's answer to every call, and reads only what it says it needs."""
    policy = data.draw(policies())
    decider = Decider(policy)
    for _ in range(4):
        call = data.draw(calls(policy))
        expected = decide(policy, call)
        needed = decider.needs(call.name)
        values = _texts(call)

        def read(
            translator: str,
            values: dict[str, list[str | None]] = values,
            needed: frozenset[str] = needed,
        ) -> list[str | None] | None:
            assert translator in needed
            return values.get(translator)

        for given_values in (values, read):
            assert expected == decider.decide(
                call.name, call.args, given_values, call.uid, call.gid, _missing(call)
            )
        assert explain(policy, call).decision == expected


def _texts(call: Call) -> dict[str, list[str | None]]:
    texts: dict[str, list[str | None]] = {}
    for value in call.values:
        texts.setdefault(value.translator, []).append(value.text)
    return texts


def _missing(call: Call) -> int:
    names = [value for value in call.values if value.translator == "filename"]
    return sum(1 << place for place, value in enumerate(names) if not value.exists)


@SLOW
@given(st.data())
def test_residual_is_sound(data: st.DataObject) -> None:
    """A clause with a decision agrees with decide whatever the memory and the ids are."""
    policy = data.draw(policies())
    call = data.draw(calls(policy))
    clauses = residual(policy, call.name)
    answer = next(clause.decision for clause in clauses if holds(clause.when, call.args))
    assume(answer is not None)
    for _ in range(3):
        other = replace(
            call,
            values=data.draw(memory(call.name)),
            uid=data.draw(st.sampled_from((0, 1, 1000))),
            gid=data.draw(st.sampled_from((0, 1, 1000))),
        )
        assert decide(policy, other) == answer
    unread = tuple(clause for clause in residual(policy, call.name, registers=False))
    everywhere = next(each.decision for each in unread if holds(each.when, call.args))
    assert everywhere in (None, answer)


@SLOW
@given(st.data())
def test_registers_alone_are_never_deferred(data: st.DataObject) -> None:
    """A policy that compares registers only is decided in full, but for predicates on ids."""
    policy = data.draw(policies(Dialect.STRICT, only_registers=True))
    rules = tuple(
        replace(rule, predicate=None)
        for rule in policy.rules
        if not {"fsread", "fswrite"} & set(rule.calls)
    )
    for name in CALLS:
        assert all(
            clause.decision is not None for clause in residual(replace(policy, rules=rules), name)
        )


@SLOW
@given(st.data())
def test_joined_is_what_all_say(data: st.DataObject) -> None:
    """Where joined decides, every policy decides the same; where it does not, some cannot."""
    several = data.draw(st.lists(policies(), min_size=1, max_size=3))
    call = data.draw(calls(several[0]))
    clauses = joined(several, call.name)
    answer = next(clause.decision for clause in clauses if holds(clause.when, call.args))
    single = [
        next(each.decision for each in residual(one, call.name) if holds(each.when, call.args))
        for one in several
    ]
    plain = {None if each is None else replace(each, rule=None, reason="") for each in single}
    agreed = plain.pop() if len(plain) == 1 else None
    assert (None if answer is None else replace(answer, rule=None, reason="")) == agreed


@pytest.mark.parametrize("name", TRANSLATED)
@pytest.mark.parametrize("dialect", list(Dialect))
def test_turned_round_comparisons_agree_with_translations(name: str, dialect: Dialect) -> None:
    """Which registers satisfy a text comparison is what their translation says."""
    for found in sources(name):
        if found.origin is not Origin.REGISTER:
            continue
        _check_argument(name, found, dialect)


def _check_argument(name: str, found: Source, dialect: Dialect) -> None:
    assert found.argument is not None
    argument = found.argument
    values = [
        *range(10),
        *(1 << bit for bit in range(0, 64, 3)),
        *((1 << 32) + value for value in (0, 1, 2, 0x5412)),
        *(0x5412, 0x5414, 0o644, 0o4755, 0o100644, 0xFFFF, 0xFFFF_FF9C, 0xFFFF_FFFF, 2**64 - 1),
        *(0x10000011, 0x22, 0x10000022, 0x241, 0x8041, 1000, 99, 100, 2**64 - 100),
    ]
    for operator in TextOperator:
        operands = {
            TextOperator.MATCH: PATTERNS,
            TextOperator.RE: EXPRESSIONS,
        }.get(operator, (*REGISTER_TEXTS, "prot_exec", "", "/etc", "0xFF", "MAP_"))
        for operand in operands:
            must, may = register_text_condition(found, name, operator, operand, dialect)
            test = text_test(operator, operand, dialect)
            for value in values:
                args = [0] * 6
                args[argument.index] = value
                held = test(argument_text(found.translator, argument, name, value))
                assert not holds(must, args) or held, (found.translator, operator, operand, value)
                assert not held or holds(may, args), (found.translator, operator, operand, value)


@SLOW
@given(st.sampled_from(CALLS), registers, st.sampled_from(Dialect), st.data())
def test_turned_round_comparisons_agree_on_any_register(
    name: str, value: int, dialect: Dialect, data: st.DataObject
) -> None:
    """The same for registers that nobody thought of."""
    possible = [found for found in sources(name) if found.origin is Origin.REGISTER]
    assume(possible)
    found = data.draw(st.sampled_from(possible))
    assert found.argument is not None
    operator = data.draw(st.sampled_from([*TextOperator]))
    operand = data.draw(st.sampled_from((*PATTERNS, *REGISTER_TEXTS)))
    try:
        test = text_test(operator, operand, dialect)
    except ValueError:
        return
    must, may = register_text_condition(found, name, operator, operand, dialect)
    args = [value] * 6
    held = test(argument_text(found.translator, found.argument, name, value))
    assert holds(must, args) <= held <= holds(may, args)


HARMLESS = (
    "names in directories that do not exist",
    "eq and neq compare with case now",
)


@SLOW
@given(st.data())
def test_conversion_keeps_the_meaning(data: st.DataObject) -> None:
    """Both dialects agree on every call after a conversion that notes no loss."""
    policy = data.draw(policies())
    other = Dialect.STRICT if policy.dialect is Dialect.SYSTRACE else Dialect.SYSTRACE
    converted, notes = convert(policy, other)
    assert converted.dialect is other
    assume(all(note.startswith(HARMLESS) for note in notes))
    for _ in range(3):
        call = data.draw(calls(policy, exists=True))
        values = tuple(replace(value, text=value.text or "") for value in _complete(call))
        call = replace(call, values=values)
        before, after = decide(policy, call), decide(converted, call)
        note = f"{policy}\n{converted}"
        assert (before.action, before.errno) == (after.action, after.errno), note
        assert (before.log, before.elevation) == (after.log, after.elevation), note


def _complete(call: Call) -> tuple[Value, ...]:
    """Every value of the call readable, none left out."""
    given_values = list(call.values)
    found: list[Value] = []
    for each in sources(call.name):
        if each.origin is not Origin.MEMORY:
            continue
        same = [value for value in given_values if value.translator == each.translator]
        if same:
            given_values.remove(same[0])
        found.append(same[0] if same else Value(translator=each.translator, text="/tmp/a"))
    return tuple(found)


@SLOW
@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_with_places(text: str) -> None:
    """No text makes a parser fail otherwise than by problems that have a place in it."""
    for problem in _problems(text):
        assert 1 <= problem.line <= text.count("\n") + 2
        assert problem.column >= 1
        assert str(problem).startswith(f"x:{problem.line}:{problem.column}: ")


def _problems(text: str) -> Iterator[Problem]:
    """What is wrong with a text, read in both forms."""
    for parse in (parse_systrace, parse_yaml):
        try:
            parse(text, "x")
        except PolicyError as error:
            yield from error.problems


_PIECES = st.sampled_from(
    (
        *("Policy: /bin/ls, Emulation: native\n", "native-", "open", "fsread", ":", " ", "permit"),
        *(
            "deny[",
            "enoent",
            "]",
            "filename",
            " eq ",
            '"',
            "/etc",
            '"\n',
            "not ",
            " and ",
            "(",
            ")",
        ),
        *(" then ", "log", " as ", "root", ", if ", "user = ", "#", "\n", "arg[1]", "== ", "0x1"),
        *(
            "rules:\n",
            "  - permit: [read]\n",
            "    when: ",
            "default: ",
            "- ",
            "&a ",
            "*a ",
            "!!x ",
        ),
    )
)


@SLOW
@given(st.lists(_PIECES, max_size=30).map("".join))
def test_nearly_valid_text_is_read_or_refused(text: str) -> None:
    """The same for texts of the language's own words."""
    assert all(str(problem) for problem in _problems(text))


@SLOW
@given(policies())
def test_the_checker_takes_every_policy(policy: Policy) -> None:
    """check_policy answers for policies that no parser would give, too; wire carries them all."""
    for problem in check_policy(policy):
        assert problem.message
    assert policy_from_json(policy_to_json(policy)) == policy


@SLOW
@given(st.data())
def test_adding_a_permit_at_the_end_refuses_nothing_more(data: st.DataObject) -> None:
    """A permit after all rules leaves what was permitted permitted."""
    policy = data.draw(policies(Dialect.STRICT))
    call = data.draw(calls(policy))
    (extra,) = parse_yaml(f"rules: [{{permit: {call.name}}}]", "x").rules
    longer = replace(policy, rules=(*policy.rules, extra))
    before, after = decide(policy, call), decide(longer, call)
    if before.rule is not None:
        assert after == before
    else:
        assert after.action is Action.PERMIT or after == before


def test_texts_of_the_strategies_reach_memory() -> None:
    """The vocabulary has the address forms and names that membership turns on."""
    assert {"/etc", "inet-[127.0.0.1]:80", "@abstract"} <= set(MEMORY_TEXTS)

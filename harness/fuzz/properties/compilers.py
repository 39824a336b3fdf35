"""Compilers: what a filter answers is what its specification says, and what `decide` says."""

from __future__ import annotations

import importlib.util
import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from struct import Struct

from hypothesis import strategies as st

from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.cbpf import compiler
from enforcer.cbpf.check import InvalidProgram, check
from enforcer.cbpf.corpus import corpus
from enforcer.cbpf.fast import fast_simulator
from enforcer.cbpf.instruction import Program, assemble, disassemble
from enforcer.cbpf.simulate import simulate
from enforcer.cbpf.spec import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    LOG,
    TRACE,
    AbiTable,
    FilterSpec,
    SeccompData,
    SpecClause,
    always,
    evaluate,
)
from enforcer.condition import All, Any, Compare, Condition, Not
from enforcer.mechanisms.filter_spec import kernel_answer, spec_from_policies
from enforcer.policy import decider
from enforcer.policy.decide import decide
from enforcer.syscalls import name
from enforcer.syscalls import number as number_of
from harness.fuzz.aside import Endless, aside
from harness.fuzz.bulk import is_reachable, kernel_answers, unavailable
from harness.fuzz.cases import (
    CallsCase,
    ClausesCase,
    FilterCase,
    call_cases,
    calls_near,
    chooser,
    clauses_cases,
    compiled,
    filter_cases,
)
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.reference import UNDECIDED, Reference
from harness.fuzz.show import answer_text, call_text, data_text, decision_text, policy_text
from harness.fuzz.strategies.filters import MACHINES
from harness.fuzz.strategies.policies import policies
from harness.fuzz.strategies.register_rules import boundary_rules, lists_of_rules

DEFER = TRACE(0xD)
"""The answer that hands a call on; no policy gives it."""

MOST_CALLS = 6000
FEW_RULES = 12
RANDOM_CALLS = 3
DECIDER_CALLS = 240
DRAWS = 4
LIBSECCOMP_CPU_S = 3
"""What one compilation may take; milliseconds are usual."""
LIBSECCOMP_DRAWS = 24
_SIX = Struct("=6Q")


def abis_of(case: FilterCase) -> tuple[Abi, ...]:
    """The ABIs of a case."""
    return tuple(ABIS[name] for name in case.abis)


def for_machine(case: FilterCase, machine: str) -> FilterCase:
    """The case as it is, or for all ABIs of the machine that a campaign is bound to."""
    if not machine or case.machine == machine:
        return case
    return replace(case, machine=machine, abis=tuple(abi.name for abi in MACHINES[machine]))


def specification(case: FilterCase) -> FilterSpec:
    """What a filter with a supervisor behind it must answer."""
    return spec_from_policies([case.policy], abis_of(case), defer=DEFER, answer=kernel_answer)


def calls_of(
    case: FilterCase, spec: FilterSpec, *, wide: bool = False, draws: int = DRAWS
) -> Iterator[SeccompData]:
    """Calls on every boundary of the filter; a sample where the policy has very many rules.

    Those that rules speak of and some others come first. `wide` adds the neighbourhood of every
    number, and each number with random registers.
    """
    chance = chooser(case)
    found = list(itertools.islice(corpus(_with_some(spec, chance), draws=draws), MOST_CALLS))
    rules = len(case.policy.rules)
    most = MOST_CALLS if rules <= FEW_RULES else MOST_CALLS * FEW_RULES // (8 * rules)
    yield from chance.sample(found, most) if len(found) > most else found
    if not wide or rules > FEW_RULES:
        return
    yield from itertools.islice(corpus(spec, draws=0), MOST_CALLS)
    for table in spec.tables:
        for number in table.calls:
            for registers in _SIX.iter_unpack(chance.randbytes(RANDOM_CALLS * _SIX.size)):
                yield SeccompData(number, table.abi.audit_arch, registers)


def _with_some(spec: FilterSpec, chance: random.Random) -> FilterSpec:
    """The calls whose answer depends on registers, and a few of those that always get one."""
    tables = []
    for table in spec.tables:
        chosen = set(chance.sample(sorted(table.calls), min(8, len(table.calls))))
        chosen.update(number for number, clauses in table.calls.items() if len(clauses) > 1)
        chosen.update(
            number for word in _ALWAYS if (number := number_of(table.abi.name, word)) is not None
        )
        calls = {number: table.calls[number] for number in sorted(chosen & set(table.calls))}
        tables.append(replace(table, calls=calls))
    return replace(spec, tables=tuple(tables))


_ALWAYS = ("openat", "openat2", "io_uring_setup", "ioctl", "mmap", "socketcall", "ipc")


def check_compiler(case: FilterCase, tally: Tally) -> None:
    """The program in the fast simulator == evaluate(spec) == decide, over the whole corpus."""
    case = for_machine(case, tally.machine)
    spec = specification(case)
    try:
        program = compiler.compile_filter(spec)
        check(program)
    except compiler.FilterTooLarge:
        tally.counts["too large"] += 1
        return
    except InvalidProgram as error:
        raise Mismatch(
            policy=policy_text(case.policy),
            call=f"the filter for {', '.join(case.abis)}",
            expected="a program that the kernel loads",
            got=str(error),
            signature="invalid program",
        ) from None
    _compare(case, spec, program, tally)


def _compare(case: FilterCase, spec: FilterSpec, program: Program, tally: Tally) -> None:
    simulator = fast_simulator(program)
    reference = Reference(case.policy, abis_of(case), chooser(case))
    for data in calls_of(case, spec, wide=tally.wide):
        got, specified = simulator(data), evaluate(spec, data)
        if got != specified:
            tally.report(_mismatch(case, reference, data, specified, got, "program", "evaluate"))
        tally.decisions += 1
        if specified == DEFER:
            tally.counts["deferred"] += 1
            continue
        expected = reference.answer(data)
        if expected == UNDECIDED:
            tally.report(_mismatch(case, reference, data, DEFER, got, "filter", "decide"))
        elif expected != specified:
            tally.report(_mismatch(case, reference, data, expected, got, "filter", "decide"))


def _mismatch(
    case: FilterCase,
    reference: Reference,
    data: SeccompData,
    expected: int,
    got: int,
    what: str,
    against: str,
) -> Mismatch:
    return Mismatch(
        policy=policy_text(case.policy),
        call=data_text(data, reference.abi_of(data)),
        expected=f"{answer_text(expected)} ({against})",
        got=f"{answer_text(got)} ({what} for {', '.join(case.abis)})",
        signature=f"{what} against {against}",
    )


def check_filters(case: ClausesCase, tally: Tally) -> None:
    """Any clauses, on any ABI: the program == evaluate(spec). No policy stands behind them."""
    abis = tuple(ABIS[name] for name in case.abis)
    calls = {7: case.clauses, 8: tuple(map(_on_next_register, case.clauses)), 9: always(ALLOW)}
    spec = FilterSpec(
        tuple(
            AbiTable(
                abi, {abi.nr_bit | number: found for number, found in calls.items()}, ERRNO(38)
            )
            for abi in abis
        ),
        KILL_PROCESS,
    )
    program = compiler.compile_filter(spec)
    check(program)
    simulator = fast_simulator(program)
    draws = 6 if len(case.clauses) <= FEW_RULES else 0
    for data in itertools.islice(corpus(spec, draws=draws, seed=case.seed), MOST_CALLS // 10):
        expected, got = evaluate(spec, data), simulator(data)
        tally.decisions += 1
        if expected != got:
            raise Mismatch(
                policy="\n".join(
                    f"{each.when} -> {answer_text(each.answer)}" for each in case.clauses
                ),
                call=f"{', '.join(case.abis)}: {data}",
                expected=f"{answer_text(expected)} (evaluate)",
                got=f"{answer_text(got)} (program)",
                signature="filters",
            )


def _on_next_register(clause: SpecClause) -> SpecClause:
    """The clause of a call whose arguments lie one register further on."""
    return replace(clause, when=_moved(clause.when))


def _moved(condition: Condition) -> Condition:
    match condition:
        case Compare(argument):
            return replace(condition, argument=(argument + 1) % 6)
        case Not(member):
            return Not(_moved(member))
        case All(members):
            return All(tuple(map(_moved, members)))
        case Any(members):
            return Any(tuple(map(_moved, members)))


def check_simulators(case: FilterCase, tally: Tally) -> None:
    """The fast simulator answers as the plain one, and a program survives its binary form."""
    spec = specification(case)
    try:
        program = compiler.compile_filter(spec)
    except compiler.FilterTooLarge:
        return
    big_endian = spec.tables[0].abi.big_endian
    again = disassemble(assemble(program, big_endian=big_endian), big_endian=big_endian)
    if again != program:
        raise Mismatch(policy=policy_text(case.policy), expected=str(program), got=str(again))
    fast = fast_simulator(program)
    for data in calls_of(case, spec):
        expected, got = simulate(program, data)[0], fast(data)
        tally.decisions += 1
        if expected != got:
            raise Mismatch(
                policy=policy_text(case.policy),
                call=data_text(data, None),
                expected=f"{answer_text(expected)} (simulate)",
                got=f"{answer_text(got)} (fast simulator)",
            )


def check_decider(case: CallsCase, tally: Tally) -> None:
    """The hot path answers as `decide`, and reads nothing that it does not say it needs."""
    hot = decider.Decider(case.policy)
    for call in calls_near(case, DECIDER_CALLS):
        texts: dict[str, list[str | None]] = {}
        for value in call.values:
            texts.setdefault(value.translator, []).append(value.text)
        names = [value for value in call.values if value.translator == "filename"]
        missing = sum(1 << place for place, value in enumerate(names) if not value.exists)
        needed = hot.needs(call.name)
        given = {key: found for key, found in texts.items() if key in needed}
        got = hot.decide(call.name, call.args, given, call.uid, call.gid, missing)
        expected = decide(case.policy, call)
        tally.decisions += 1
        if got != expected:
            tally.report(
                Mismatch(
                    policy=policy_text(case.policy),
                    call=call_text(call),
                    expected=f"{decision_text(expected)} (decide)",
                    got=f"{decision_text(got)} (Decider)",
                    signature="decider",
                )
            )


def check_libseccomp(case: FilterCase, tally: Tally) -> None:
    """libseccomp's program, at each of its optimisation levels, == evaluate(spec).

    It is given only the calls that rules speak of; the rest is its default action. What it cannot
    express is counted. A difference, and a compilation without end, is a finding about libseccomp.
    """
    spec = _narrowed(specification(case))
    if spec is None:
        tally.counts["nothing to compile"] += 1
        return
    listed = {number for table in spec.tables for number in table.calls}
    calls = [
        (data, evaluate(spec, data))
        for data in calls_of(case, spec, draws=LIBSECCOMP_DRAWS)
        if data.nr in listed or data.nr < _X32_BIT  # others are a foreign ABI's to it, by design
    ]
    for level in (1, 2):
        program = _by_libseccomp(case, spec, level, tally)
        if program is None:
            continue
        simulator = fast_simulator(program)
        for data, expected in calls:
            got = simulator(data)
            tally.decisions += 1
            if got == expected:
                continue
            abi = Reference(case.policy, abis_of(case), chooser(case)).abi_of(data)
            signature = f"libseccomp, {abi.name if abi else 'no ABI'}, level {level}"
            if signature in tally.known:
                tally.counts["known breaches"] += 1
                continue
            raise Mismatch(
                policy=policy_text(case.policy),
                call=data_text(data, abi),
                expected=f"{answer_text(expected)} (specification){_live(spec, None, data)}",
                got=f"{answer_text(got)} (libseccomp, optimisation level {level})"
                f"{_live(spec, program, data)}",
                signature=signature,
                third_party="libseccomp",
            )


def _by_libseccomp(case: FilterCase, spec: FilterSpec, level: int, tally: Tally) -> Program | None:
    """Its program; None where there is none to compare, which is counted."""
    from enforcer.cbpf.libseccomp import LibseccompUnsupported, compile_libseccomp

    def work() -> Program | None:
        try:
            return compile_libseccomp(spec, optimize=level)
        except (LibseccompUnsupported, OSError):
            return None

    try:
        program = aside(work, cpu_seconds=LIBSECCOMP_CPU_S)
    except Endless as error:
        signature = f"libseccomp, without end, level {level}"
        if signature not in tally.known:
            raise Mismatch(
                policy=policy_text(case.policy),
                expected="a program",
                got=f"{error} (libseccomp, optimisation level {level})",
                signature=signature,
                third_party="libseccomp",
            ) from error
        tally.counts["known breaches"] += 1
        return None
    if program is None:
        tally.counts["inexpressible"] += 1
    return program


def _live(spec: FilterSpec, program: Program | None, data: SeccompData) -> str:
    """What this machine's kernel answers under the program, or under ours for `spec`.

    Nothing where it cannot be asked.
    """
    if unavailable() or not is_reachable(data):
        return "; no call of this machine"
    if program is None:
        program = compiler.compile_filter(spec)
    (answer,) = kernel_answers(program, [data])
    return f"; {answer_text(answer)} in this machine's kernel"


_X32_BIT = 0x4000_0000


def _narrowed(spec: FilterSpec) -> FilterSpec | None:
    """The calls that are not answered alike whatever their registers, without multiplexers.

    An unlisted number gets an answer of its own, which no rule gives.
    """
    tables = []
    for table in spec.tables:
        calls = {
            number: tuple(
                replace(clause, answer=LOG if clause.answer == DEFER else clause.answer)
                for clause in clauses
            )
            for number, clauses in table.calls.items()
            if len(clauses) > 1 and name(table.abi.name, number) not in table.abi.multiplexers
        }
        if calls:
            tables.append(replace(table, calls=calls, unknown=ERRNO(4000)))
    return FilterSpec(tuple(tables), spec.foreign) if tables else None


def _libseccomp_missing() -> str:
    if importlib.util.find_spec("pyseccomp") is None:
        return "pyseccomp is not installed (the extra `seccomp`)"
    return ""


FILTERS = Property(
    name="filters",
    claim="our compiler's program answers as any specification, whatever its conditions",
    group="compilers",
    cases=clauses_cases(),
    check=check_filters,
)
COMPILER = Property(
    name="compiler",
    claim="our compiler's program, its specification and decide give one answer, on every ABI",
    group="compilers",
    cases=filter_cases(),
    check=check_compiler,
)
SIMULATORS = Property(
    name="simulators",
    claim="both simulators give one answer, and programs survive their binary form",
    group="compilers",
    cases=filter_cases(),
    check=check_simulators,
)
DECIDER = Property(
    name="decider",
    claim="the mechanisms' hot path decides as decide",
    group="compilers",
    cases=call_cases(),
    check=check_decider,
)
LIBSECCOMP = Property(
    name="libseccomp",
    claim="libseccomp's program answers as the specification; a difference is its finding",
    group="compilers",
    cases=compiled(st.one_of(lists_of_rules(), lists_of_rules(), boundary_rules(), policies())),
    check=check_libseccomp,
    available=_libseccomp_missing,
)

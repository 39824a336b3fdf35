"""seccomp alone: the policy as one static filter for all ABIs, nobody to ask once it is loaded."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from enforcer.arch.record import Abi
from enforcer.call import Action, Decision
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import Program, assemble, disassemble
from enforcer.cbpf.listing import listing
from enforcer.cbpf.spec import ACTION_NAMES, ALLOW, ERRNO, LOG, FilterSpec, SpecClause, always
from enforcer.condition import All, Compare, Operator
from enforcer.events import EventKind, EventLog
from enforcer.kernel.seccomp import FilterFlag, actions_available, is_flag_available
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Inexpressible,
    MechanismName,
    Missing,
    Options,
    Plan,
)
from enforcer.mechanisms.filter_spec import kernel_answer, spec_from_policies
from enforcer.mechanisms.seccomp.cover import cover_by_registers, cover_of_switching
from enforcer.mechanisms.seccomp.launch import Probe, launch_filtered
from enforcer.policy.ast import Policy
from enforcer.syscalls import number

PROBE = Probe(number=32_512, errno=3_909)
"""Listed on no ABI, below every private range; an errno that no call gives."""

UNDECIDED = ERRNO(errno.EPERM)
"""The answer where memory would have to be read: the safe direction."""


class Seccomp:
    """The mechanism. Leaky variants override one small method."""

    name: str = MechanismName.SECCOMP
    supervised = False

    def probe(self) -> tuple[Missing, ...]:
        """Filters and their actions, asked from the kernel."""
        known = actions_available()
        if not known:
            mend = "CONFIG_SECCOMP_FILTER, and no outer filter that denies seccomp(2)"
            return (Missing(feature="seccomp filters", mend=mend),)
        missing = [
            Missing(feature=f"seccomp action {name}", mend="a newer kernel")
            for action, name in ACTION_NAMES.items()
            if action in _NEEDED and action not in known
        ]
        if not is_flag_available(FilterFlag.LOG):
            missing.append(Missing(feature="seccomp flag LOG", mend="Linux 4.14"))
        return tuple(missing)

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Rules on registers in full, rules that read memory not at all."""
        return cover_by_registers(policy, abis)

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """One program for all ABIs. Raises Inexpressible, FilterTooLarge, ValueError."""
        covers = [cover for policy in policies for cover in self.cover(policy, abis)]
        covers += cover_of_switching(policies, abis)
        lacking = [cover for cover in covers if cover.extent is not Extent.FULL]
        if lacking and not options.partial:
            raise Inexpressible(lacking)
        program, passes = with_pass(with_probe(self.spec(policies, abis)), self.program)
        big_endian = abis[0].big_endian
        return Plan(
            mechanism=self.name,
            machine=abis[0].name,
            data={
                "program": assemble(program, big_endian=big_endian).hex(),
                "big_endian": big_endian,
                "passes": list(passes),
                "flags": int(FilterFlag.LOG if _logs_denials(policies) else 0),
                "abis": [abi.name for abi in abis],
                "inexpressible": [
                    {"rule": c.rule, "extent": c.extent, "reason": c.reason, "errs": c.errs}
                    for c in lacking
                ],
            },
        )

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """What the filter must answer."""
        return spec_from_policies(policies, abis, defer=UNDECIDED, answer=final_answer)

    def program(self, spec: FilterSpec) -> Program:
        """The filter that answers so."""
        return compile_filter(spec)

    def describe(self, plan: Plan) -> str:
        """A listing of the filter, after what it lacks."""
        lacking = plan.data["inexpressible"]
        assert isinstance(lacking, Sequence)
        heads = [
            f"{'default' if each['rule'] is None else 'rule ' + str(each['rule'] + 1)}: "
            f"{each['extent']}, {each['errs']}: {each['reason']}\n"
            for each in lacking
        ]
        filter_text = listing(_program(plan.data), big_endian=bool(plan.data["big_endian"]))
        return "".join(heads) + filter_text

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Load and execute; the log's events are written by a witness outside the filter."""
        log.emit(
            EventKind.START,
            mechanism=self.name,
            command=list(command),
            abis=plan.data["abis"],
            inexpressible=plan.data["inexpressible"],
        )
        passes, flags = plan.data["passes"], plan.data["flags"]
        assert isinstance(passes, Sequence)
        assert isinstance(flags, int)
        launch_filtered(
            _program(plan.data),
            [int(mark) for mark in passes],
            PROBE,
            big_endian=bool(plan.data["big_endian"]),
            flags=flags,
            command=command,
            log=log,
        )


MECHANISM = Seccomp()

_NEEDED = frozenset({ALLOW, ERRNO(0), LOG, 0x8000_0000})


def final_answer(decision: Decision) -> int | None:
    """The answer without a supervisor: a permitted call that is to be logged goes to the audit."""
    if decision.action is Action.PERMIT and decision.elevation is None:
        return LOG if decision.log else ALLOW
    return kernel_answer(replace(decision, log=False))


def with_probe(spec: FilterSpec) -> FilterSpec:
    """The same filter with the witness's call in the first table."""
    first, *others = spec.tables
    answer = always(ERRNO(PROBE.errno), "witness")
    return FilterSpec(
        (replace(first, calls={**first.calls, PROBE.number: answer}), *others), spec.foreign
    )


def with_pass(
    spec: FilterSpec, compile: Callable[[FilterSpec], Program] = compile_filter
) -> tuple[Program, tuple[int, ...]]:
    """The program that lets one execve through, told by its pointers, and the marks for them.

    A mark stands in the program for each half of the three pointers; the launcher replaces it by
    what is known only then. No marks where execve is permitted anyway.
    """
    native = spec.tables[0]
    execve = number(native.abi.name, "execve")
    clauses = () if execve is None else native.calls[execve]
    plain = compile(spec)
    if execve is None or all(clause.answer == ALLOW for clause in clauses):
        return plain, ()
    taken = {instruction.k for instruction in plain}
    free = (mark for mark in range(_FIRST_MARK, _FIRST_MARK + len(taken) + 7) if mark not in taken)
    low_high = [(next(free), next(free)) for _ in range(3)]
    is_ours = All(
        tuple(
            Compare(register, Operator.EQ, high << 32 | low)
            for register, (low, high) in enumerate(low_high)
        )
    )
    calls = {**native.calls, execve: (SpecClause(is_ours, ALLOW, "launch"), *clauses)}
    opened = FilterSpec((replace(native, calls=calls), *spec.tables[1:]), spec.foreign)
    return compile(opened), tuple(mark for pair in low_high for mark in pair)


_FIRST_MARK = 0xFACE_0001


def _logs_denials(policies: Sequence[Policy]) -> bool:
    return any(
        rule.log and rule.action is not Action.PERMIT
        for policy in policies
        for rule in policy.rules
    )


def _program(data: Mapping[str, object]) -> Program:
    raw = bytes.fromhex(str(data["program"]))
    return disassemble(raw, big_endian=bool(data["big_endian"]))

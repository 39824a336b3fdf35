"""The kernel: its answers under a filter are those of the simulator, of evaluate and of decide."""

from __future__ import annotations

from hypothesis import strategies as st

from enforcer.arch import ABIS
from enforcer.cbpf import compiler
from enforcer.cbpf.spec import SeccompData, evaluate
from harness.fuzz.bulk import is_reachable, kernel_answers, unavailable
from harness.fuzz.cases import FilterCase, chooser, filter_cases
from harness.fuzz.properties.compilers import calls_of, for_machine, specification
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.reference import Reference
from harness.fuzz.show import answer_text, data_text, policy_text

MACHINE = "x86_64"


def check_kernel(case: FilterCase, tally: Tally) -> None:
    """One process under the filter makes all calls, of both ABIs and with x32 numbers."""
    spec = specification(case)
    try:
        program = compiler.compile_filter(spec)
    except compiler.FilterTooLarge:
        return
    calls: list[SeccompData] = [
        data for data in calls_of(case, spec, wide=tally.wide) if is_reachable(data)
    ]
    reference = Reference(case.policy, [ABIS[name] for name in case.abis], chooser(case))
    for data, got in zip(calls, kernel_answers(program, calls), strict=True):
        expected = evaluate(spec, data)
        tally.decisions += 1
        if got != expected:
            raise Mismatch(
                policy=policy_text(case.policy),
                call=data_text(data, reference.abi_of(data)),
                expected=f"{answer_text(expected)} (evaluate)",
                got=f"{answer_text(got)} (kernel, filter for {', '.join(case.abis)})",
                signature="kernel",
            )


def _here() -> st.SearchStrategy[FilterCase]:
    return filter_cases().map(lambda case: for_machine(case, MACHINE))


KERNEL = Property(
    name="kernel",
    claim="this machine's kernel answers under a filter as evaluate says",
    group="compilers",
    cases=_here(),
    check=check_kernel,
    available=unavailable,
    runs_calls=True,
)

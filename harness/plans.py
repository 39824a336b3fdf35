"""Plans of cases: what a case's backend makes of its scenario's policy."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.mechanisms.contract import Cover, Defence, Inexpressible, Options, Plan
from harness.backends import Ours, backend, compiled, mechanism
from harness.backends.prepared import Prepared
from harness.model import Case
from harness.places.layout import Layout
from harness.scenario import parse_policies, substitute

KEPT = 8
"""Cases of one scenario and backend, which have the same plan, come one after the other."""


def plan_of(case: Case, layout: Layout, abis: Sequence[Abi]) -> Plan:
    """Compiled for all of a place's ABIs. Raises Inexpressible, PolicyError, BrokenBackend."""
    scenario = case.scenario
    text = substitute(scenario.policy, layout.placeholders())
    found = planned(
        (text, scenario.dialect, str(scenario.path)),
        case.backend,
        tuple(abi.name for abi in abis),
        partial=case.backend in scenario.partial,
        defences=case.defences,
    )
    if isinstance(found, Plan):
        return found
    raise Inexpressible(found)


@functools.lru_cache(maxsize=KEPT)
def planned(
    policy: tuple[str, str, str],
    name: str,
    abi_names: tuple[str, ...],
    *,
    partial: bool,
    defences: frozenset[Defence] | None,
) -> Plan | tuple[Cover, ...]:
    """The plan, or what cannot be expressed; kept, as long as nobody clears this cache."""
    policies = parse_policies(*policy)
    abis = [ABIS[each] for each in abi_names]
    try:
        if defences is not None:
            return Ours(name, Options(defences=defences)).compile(policies, abis)
        if not partial:
            return compiled(name, policies, abis)
        found = backend(name)
        if isinstance(found, Prepared):
            return found.compile(policies, abis, partial=True)
        return mechanism(name).compile(policies, abis, Options(partial=True))
    except Inexpressible as error:
        return error.covers

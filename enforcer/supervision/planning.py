"""From policies to the plan of a mechanism with a supervisor: its filter, and the policies."""

from __future__ import annotations

from collections.abc import Sequence

from enforcer.arch.record import Abi
from enforcer.cbpf.compiler import compile_filter
from enforcer.cbpf.instruction import assemble
from enforcer.cbpf.spec import FilterSpec
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Inexpressible,
    Options,
    Plan,
)
from enforcer.policy.ast import Policy
from enforcer.policy.wire import policy_to_json
from enforcer.supervision.cores import permits_cores


def shortfalls(covers: Sequence[Cover], options: Options) -> list[Cover]:
    """What is not enforced in full. Raises Inexpressible, unless the user accepts that."""
    found = [cover for cover in covers if cover.extent is not Extent.FULL]
    if found and not options.partial:
        raise Inexpressible(found)
    return found


def supervised_plan(
    mechanism: str,
    policies: Sequence[Policy],
    abis: Sequence[Abi],
    options: Options,
    *,
    inexpressible: Sequence[Cover],
    spec: FilterSpec,
    **more: object,
) -> Plan:
    """What Target reads, and `more` for the mechanism itself. Raises FilterTooLarge."""
    big_endian = abis[0].big_endian
    return Plan(
        mechanism=mechanism,
        machine=abis[0].name,
        data={
            "program": assemble(compile_filter(spec), big_endian=big_endian).hex(),
            "abis": [abi.name for abi in abis],
            "policies": [policy_to_json(policy) for policy in policies],
            "defences": sorted(options.defences),
            "cores": permits_cores(policies),
            "desk": options.desk,
            "permissive": options.permissive,
            "rereads": options.rereads,
            "inexpressible": [
                {"rule": c.rule, "extent": c.extent, "reason": c.reason, "errs": c.errs}
                for c in inexpressible
            ],
            **more,
        },
    )

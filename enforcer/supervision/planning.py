"""From policies to the plan of a mechanism with a supervisor: its filter, and the policies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

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
from enforcer.supervision.rereading import Rereads, changeable, rereading
from enforcer.supervision.target import filter_listing


def shortfalls(covers: Sequence[Cover], options: Options) -> list[Cover]:
    """What is not enforced in full. Raises Inexpressible, unless the user accepts that."""
    found = [cover for cover in covers if cover.extent is not Extent.FULL]
    if found and not options.partial:
        raise Inexpressible(found)
    return found


def inexpressible(covers: Sequence[Cover]) -> list[Mapping[str, object]]:
    """Covers as a plan and a log have them."""
    return [
        {"rule": each.rule, "extent": each.extent, "reason": each.reason, "errs": each.errs}
        for each in covers
    ]


class Supervised(ABC):
    """What mechanisms with a supervisor have in common. A leaky variant overrides `spec`,
    `protects`, or what makes the supervisor.
    """

    name: str
    supervised = True
    protects = True
    """Whether signals and the like are kept from the supervisor."""

    @abstractmethod
    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """One Cover a rule, and one for the default."""

    def cover_together(self, policies: Sequence[Policy], options: Options) -> tuple[Cover, ...]:
        """What several policies ask for that none of them asks for alone."""
        return ()

    @abstractmethod
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """What the filter must answer."""

    def own_data(self, abis: Sequence[Abi], options: Options) -> Mapping[str, object]:
        """What the plan says to this mechanism alone."""
        return {}

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The filter, and the policies for the supervisor. Raises Inexpressible, FilterTooLarge."""
        covers = [cover for policy in policies for cover in self.cover(policy, abis)]
        lost = shortfalls([*covers, *self.cover_together(policies, options)], options)
        big_endian = abis[0].big_endian
        spec = self.spec([*([changeable()] if options.rereads else []), *policies], abis)
        return Plan(
            mechanism=self.name,
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
                "inexpressible": inexpressible(lost),
                **self.own_data(abis, options),
            },
        )

    def rereads(self, data: object, abis: Sequence[Abi]) -> Rereads | None:
        """Who reads the policies again, by what the options say of it."""
        return rereading(data, lambda policy: self._unfit(policy, abis))

    def _unfit(self, policy: Policy, abis: Sequence[Abi]) -> str | None:
        """Why a policy that was read anew is not enforced in full; None where it is."""
        try:
            shortfalls(self.cover(policy, abis), Options())
        except Inexpressible as error:
            return str(error)
        return None

    def describe(self, plan: Plan) -> str:
        """A listing of the filter; TRACE or USER_NOTIF is where the supervisor decides."""
        return filter_listing(plan)

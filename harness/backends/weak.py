"""The shape of a leaky backend: one of our mechanisms with exactly one weakness planted in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.mechanisms.contract import Cover, Mechanism, Missing, Options, Plan
from enforcer.mechanisms.preparing import Needs
from enforcer.policy.ast import Policy
from harness.backends.life import InProcess


@dataclass(frozen=True, kw_only=True)
class Leaky(InProcess):
    """A weak enforcer. `enforcer` has the weakness; `repaired` is the same without it.

    `options` are what both are compiled with; `repaired_options` where the weakness is one of them.
    Rules that the mechanism cannot enforce are dropped, as careless enforcers do.
    """

    name: str
    weakness: str
    enforcer: Mechanism
    repaired: Mechanism
    options: Options = field(default_factory=Options)
    repaired_options: Options | None = None
    leaky: bool = True
    needs: Needs = field(default_factory=Needs)

    @property
    def mechanism(self) -> str:
        return self.enforcer.name

    @property
    def counts(self) -> bool:
        return self.enforcer.supervised

    def mended(self) -> Leaky:
        """The same backend without its weakness; a test shows that it holds."""
        return replace(
            self,
            enforcer=self.repaired,
            options=self.repaired_options or self.options,
        )

    def probe(self) -> tuple[Missing, ...]:
        return self.enforcer.probe()

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        return self.enforcer.cover(policy, abis)

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> Plan:
        return self.enforcer.compile(policies, abis, self.options)

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        self.enforcer.launch(plan, command, log)

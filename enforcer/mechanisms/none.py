"""The control: the command runs with nothing enforced."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from enforcer.arch.record import Abi
from enforcer.events import EventKind, EventLog
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    MechanismName,
    Missing,
    Options,
    Plan,
)
from enforcer.policy.ast import Policy
from enforcer.supervision.launch import execute

_REASON = "the control enforces nothing"


class Control:
    """Launches the command and does nothing else."""

    name: str = MechanismName.NONE
    supervised = False

    def probe(self) -> tuple[Missing, ...]:
        """It needs nothing."""
        return ()

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Nothing of any rule."""
        rules = [*range(len(policy.rules)), None]
        return tuple(
            Cover(rule=rule, extent=Extent.NONE, reason=_REASON, errs="permits too much")
            for rule in rules
        )

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """An empty plan, whatever the policies: that nothing is enforced is its purpose."""
        return Plan(mechanism=self.name, machine=abis[0].name, data={})

    def describe(self, plan: Plan) -> str:
        """That there is nothing."""
        return "nothing is enforced\n"

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Execute the command. Raises OSError."""
        release = os.uname().release
        log.emit(EventKind.START, mechanism=self.name, kernel=release, command=list(command))
        execute(command)


MECHANISM = Control()

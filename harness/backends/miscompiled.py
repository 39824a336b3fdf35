"""Filters that compare something else than their policy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import FilterSpec
from enforcer.condition import All, Any, Compare, Condition, Not
from enforcer.mechanisms.seccomp import Seccomp
from enforcer.policy.ast import Policy


class Miscompiled(Seccomp):
    """The mechanism with `compared` in place of each comparison with a register."""

    def compared(self, sound: Compare) -> Condition:
        """What is compared instead."""
        return sound

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """The sound filter with other conditions."""
        sound = super().spec(policies, abis)
        tables = [
            replace(
                table,
                calls={
                    nr: tuple(replace(each, when=self._mistaken(each.when)) for each in clauses)
                    for nr, clauses in table.calls.items()
                },
            )
            for table in sound.tables
        ]
        return replace(sound, tables=tuple(tables))

    def _mistaken(self, condition: Condition) -> Condition:
        match condition:
            case Compare():
                return self.compared(condition)
            case All(members):
                return All(tuple(map(self._mistaken, members)))
            case Any(members):
                return Any(tuple(map(self._mistaken, members)))
            case Not(member):
                return Not(self._mistaken(member))

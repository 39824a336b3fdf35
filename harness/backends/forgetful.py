"""Enforcers that were never told of some calls: what they forget is permitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, USER_NOTIF, FilterSpec, always
from enforcer.mechanisms.notify import Notify
from enforcer.mechanisms.seccomp import Seccomp
from enforcer.policy.ast import Policy
from enforcer.syscalls import number


class Forgetful(Notify):
    """Permits the calls `forgotten` wherever the supervisor should have been asked."""

    forgotten: tuple[str, ...] = ()

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """The sound filter, but for the forgotten calls."""
        sound = super().spec(policies, abis)
        tables = []
        for table in sound.tables:
            calls = dict(table.calls)
            for nr in {number(table.abi.name, name) for name in self.forgotten} & set(calls):
                if nr is not None:
                    calls[nr] = tuple(
                        replace(clause, answer=ALLOW) if clause.answer == USER_NOTIF else clause
                        for clause in calls[nr]
                    )
            tables.append(replace(table, calls=calls))
        return replace(sound, tables=tuple(tables))


class ForgetfulFilter(Seccomp):
    """Permits the calls `forgotten`, whatever the policy says of them."""

    forgotten: tuple[str, ...] = ()

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """The sound filter, but for the forgotten calls."""
        sound = super().spec(policies, abis)
        tables = []
        for table in sound.tables:
            numbers = {number(table.abi.name, name) for name in self.forgotten} & set(table.calls)
            forgotten = {nr: always(ALLOW, "not on the list") for nr in numbers if nr is not None}
            tables.append(replace(table, calls={**table.calls, **forgotten}))
        return replace(sound, tables=tuple(tables))

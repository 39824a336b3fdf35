"""A supervisor that nothing keeps out of its target's reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import AbiTable, FilterSpec
from enforcer.mechanisms.notify import Notify
from enforcer.mechanisms.notify.session import Session
from enforcer.policy.ast import Policy
from enforcer.supervision.aimed import Protected
from enforcer.supervision.protect import MEDIATION, NAMING_TASKS
from enforcer.syscalls import name as name_of


class _Nobody(Protected):
    """Nothing is aimed at the supervisor."""

    def refusal(self, name: str, args: Sequence[int], tid: int) -> int:
        return 0

    def is_named_by_descriptor(self, descriptor: int) -> bool:
        return False


class UnprotectedSession(Session):
    """A session that takes no call for one that is aimed at it."""

    make_protected: type[Protected] = _Nobody


class UnprotectedNotify(Notify):
    """The mechanism with such sessions, and without the small filter before the policy's."""

    protects = False
    make_session = UnprotectedSession

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Without what is held only to protect the supervisor: one that is dying might take such a
        call and never answer it.
        """
        spec = super().spec(policies, abis)
        return replace(spec, tables=tuple(map(_unmediated, spec.tables)))


def _unmediated(table: AbiTable) -> AbiTable:
    calls = {
        number: tuple(clause for clause in clauses if clause.origin != MEDIATION)
        if name_of(table.abi.name, number) in NAMING_TASKS
        else clauses
        for number, clauses in table.calls.items()
    }
    return replace(table, calls=calls)

"""A filter compiled as libseccomp before 2.4 did: each half is compared by itself (CVE-2019-9893).

The lower half must be above the bound's also where the upper one has decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import FilterSpec
from enforcer.condition import LOW_HALF, WORD, All, Any, Compare, Condition, Not, Operator
from enforcer.mechanisms.seccomp import MECHANISM, Seccomp
from enforcer.policy.ast import Policy
from harness.backends.weak import Leaky

HIGH_HALF = WORD & ~LOW_HALF


class _Halves(Seccomp):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Every bound of a whole register becomes one of each half."""
        sound = super().spec(policies, abis)
        tables = [
            replace(
                table,
                calls={
                    nr: tuple(replace(clause, when=_halved(clause.when)) for clause in clauses)
                    for nr, clauses in table.calls.items()
                },
            )
            for table in sound.tables
        ]
        return replace(sound, tables=tuple(tables))


def _halved(condition: Condition) -> Condition:
    match condition:
        case Compare(_, Operator.GE | Operator.GT as above, value, mask=mask) if mask == WORD:
            upper = replace(
                condition, mask=HIGH_HALF, value=value & HIGH_HALF, operator=Operator.GE
            )
            lower = Compare(condition.argument, above, value & LOW_HALF, LOW_HALF)
            return All((upper, lower))
        case All(members):
            return All(tuple(map(_halved, members)))
        case Any(members):
            return Any(tuple(map(_halved, members)))
        case Not(member):
            return Not(_halved(member))
    return condition


BACKEND = Leaky(
    name="leaky-seccomp-halves",
    weakness="compares the halves of a 64-bit value with those of the bound, one by one",
    enforcer=_Halves(),
    repaired=MECHANISM,
)

"""A filter that compares 64 bits of an argument of which the kernel takes 32 (CVE-2019-7303)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import FilterSpec
from enforcer.condition import LOW_HALF, WORD, All, Any, Compare, Condition, Not
from enforcer.mechanisms.seccomp import MECHANISM, Seccomp
from enforcer.policy.ast import Policy
from harness.backends.weak import Leaky


class _WideCompare(Seccomp):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Every comparison of a lower half becomes one of the whole register."""
        sound = super().spec(policies, abis)
        tables = [
            replace(
                table,
                calls={
                    nr: tuple(replace(clause, when=_widened(clause.when)) for clause in clauses)
                    for nr, clauses in table.calls.items()
                },
            )
            for table in sound.tables
        ]
        return replace(sound, tables=tuple(tables))


def _widened(condition: Condition) -> Condition:
    match condition:
        case Compare(mask=mask):
            return replace(condition, mask=WORD) if mask == LOW_HALF else condition
        case All(members):
            return All(tuple(map(_widened, members)))
        case Any(members):
            return Any(tuple(map(_widened, members)))
        case Not(member):
            return Not(_widened(member))


BACKEND = Leaky(
    name="leaky-seccomp-wide-compare",
    weakness="compares 64 bits where the kernel takes 32",
    enforcer=_WideCompare(),
    repaired=MECHANISM,
)

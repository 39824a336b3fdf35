"""A deny list of 64-bit numbers, on which none has bit 30 (firejail before 0.9.42)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, FilterSpec
from enforcer.mechanisms.seccomp import MECHANISM, Seccomp
from enforcer.policy.ast import Policy
from harness.backends.weak import Leaky


class _NoX32(Seccomp):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """What is not on the list is permitted, and so is all of x32."""
        sound = super().spec(policies, abis)
        tables = [
            replace(table, calls={}, unknown=ALLOW) if table.abi.nr_bit else table
            for table in sound.tables
        ]
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-seccomp-no-x32",
    weakness="permits every number that has bit 30, as those of x32 have",
    enforcer=_NoX32(),
    repaired=MECHANISM,
)

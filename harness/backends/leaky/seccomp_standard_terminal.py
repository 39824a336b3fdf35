"""A sandbox whose terminal is what it was given as descriptors 0 to 2 (CVE-2016-7545).

The session's own stays what /dev/tty means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, FilterSpec, SpecClause
from enforcer.condition import LOW_HALF, Compare, Operator
from enforcer.mechanisms.seccomp import MECHANISM, Seccomp
from enforcer.policy.ast import Policy
from enforcer.syscalls import number
from harness.backends.weak import Leaky

LAST_STANDARD = 2


class _StandardOnly(Seccomp):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Rules on ioctl hold for the standard descriptors."""
        sound = super().spec(policies, abis)
        other = Compare(0, Operator.GT, LAST_STANDARD, mask=LOW_HALF)
        free = SpecClause(other, ALLOW, "no terminal that it was given")
        tables = []
        for table in sound.tables:
            nr = number(table.abi.name, "ioctl")
            calls = {
                each: (free, *clauses) if each == nr else clauses
                for each, clauses in table.calls.items()
            }
            tables.append(replace(table, calls=calls))
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-seccomp-standard-terminal",
    weakness="denies typing into descriptors 0 to 2, not into what /dev/tty opens",
    enforcer=_StandardOnly(),
    repaired=MECHANISM,
)

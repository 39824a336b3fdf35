"""A deny list written before openat2 and io_uring existed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, FilterSpec, always
from enforcer.mechanisms.seccomp import MECHANISM, Seccomp
from enforcer.policy.ast import Policy
from enforcer.syscalls import number
from harness.backends.weak import Leaky

UNHEARD_OF = ("openat2", "io_uring_setup", "io_uring_enter", "io_uring_register")


class _DenyList(Seccomp):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """What the list does not know of is permitted."""
        sound = super().spec(policies, abis)
        tables = []
        for table in sound.tables:
            numbers = {number(table.abi.name, name) for name in UNHEARD_OF} & set(table.calls)
            forgotten = {nr: always(ALLOW, "not on the list") for nr in numbers if nr is not None}
            tables.append(replace(table, calls={**table.calls, **forgotten}))
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-seccomp-deny-list",
    weakness="denies the calls that somebody thought of, not openat2 or io_uring",
    enforcer=_DenyList(),
    repaired=MECHANISM,
)

"""A supervisor that was written before openat2 and io_uring existed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, FilterSpec, always
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.policy.ast import Policy
from enforcer.syscalls import number
from harness.backends.weak import Leaky

UNHEARD_OF = ("openat2", "io_uring_setup", "io_uring_enter", "io_uring_register")


class _DenyList(Notify):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Nobody is asked about what is unheard of."""
        sound = super().spec(policies, abis)
        tables = []
        for table in sound.tables:
            numbers = {number(table.abi.name, name) for name in UNHEARD_OF}
            unheard = {nr: always(ALLOW, "unheard of") for nr in numbers if nr is not None}
            tables.append(replace(table, calls={**table.calls, **unheard}))
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-notify-deny-list",
    weakness="asks about the calls that somebody thought of, not about openat2 or io_uring",
    enforcer=_DenyList(),
    repaired=MECHANISM,
)

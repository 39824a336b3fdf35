"""Writable or executable, as systemd's MemoryDenyWriteExecute began (systemd issue 11473)."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, FilterSpec, SpecClause
from enforcer.condition import Any, Compare, Operator
from enforcer.mechanisms.seccomp import MECHANISM
from enforcer.policy.ast import Policy
from enforcer.syscalls import number
from harness.backends.forgetful import ForgetfulFilter
from harness.backends.weak import Leaky

THOUGHT_OF = ("mmap", "mmap2", "mprotect")
PROTECTION = 2
ONE_OF_BOTH = Any(
    tuple(
        Compare(PROTECTION, Operator.EQ, 0, mask=each) for each in (mmap.PROT_WRITE, mmap.PROT_EXEC)
    )
)


class _FirstWx(ForgetfulFilter):
    forgotten = ("pkey_mprotect", "shmat", "personality")

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Memory that is only one of both at a time is harmless."""
        sound = super().spec(policies, abis)
        tables = []
        for table in sound.tables:
            calls = dict(table.calls)
            for nr in {number(table.abi.name, name) for name in THOUGHT_OF} & set(calls):
                if nr is not None:
                    harmless = SpecClause(ONE_OF_BOTH, ALLOW, "not both at once")
                    calls[nr] = (harmless, *calls[nr])
            tables.append(replace(table, calls=calls))
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-seccomp-first-wx",
    weakness="denies memory that mmap or mprotect makes writable and executable at once, no other",
    enforcer=_FirstWx(),
    repaired=MECHANISM,
)

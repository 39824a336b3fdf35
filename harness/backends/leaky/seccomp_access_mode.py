"""A filter for which a file is changed only by who opens it for writing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, FilterSpec, SpecClause, always
from enforcer.condition import Compare, Operator
from enforcer.mechanisms.seccomp import MECHANISM, Seccomp
from enforcer.policy.ast import Policy
from enforcer.syscalls import number
from harness.backends.weak import Leaky

FLAGS = {"open": 1, "openat": 2}
FORGOTTEN = ("truncate", "truncate64", "ftruncate", "ftruncate64")


class _AccessMode(Seccomp):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Rules on opening hold for opening to write; truncation is not thought of."""
        sound = super().spec(policies, abis)
        tables = []
        for table in sound.tables:
            calls = dict(table.calls)
            for name, argument in FLAGS.items():
                nr = number(table.abi.name, name)
                reading = Compare(argument, Operator.EQ, os.O_RDONLY, mask=os.O_ACCMODE)
                if nr is not None and nr in calls:
                    calls[nr] = (SpecClause(reading, ALLOW, "changes nothing"), *calls[nr])
            for nr in {number(table.abi.name, name) for name in FORGOTTEN} & set(calls):
                if nr is not None:
                    calls[nr] = always(ALLOW, "not thought of")
            tables.append(replace(table, calls=calls))
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-seccomp-access-mode",
    weakness="takes opening for writing for the only way to change a file's content",
    enforcer=_AccessMode(),
    repaired=MECHANISM,
)

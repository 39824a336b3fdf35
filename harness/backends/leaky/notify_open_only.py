"""A supervisor that is asked about opening files, not about renaming or linking them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ALLOW, USER_NOTIF, FilterSpec
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.policy.ast import Policy
from enforcer.syscalls import number
from harness.backends.weak import Leaky

FORGOTTEN = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat")


class _OpenOnly(Notify):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """The forgotten calls are permitted where the supervisor should have been asked."""
        sound = super().spec(policies, abis)
        tables = []
        for table in sound.tables:
            calls = dict(table.calls)
            for name in FORGOTTEN:
                nr = number(table.abi.name, name)
                if nr in calls:
                    calls[nr] = tuple(
                        replace(clause, answer=ALLOW) if clause.answer == USER_NOTIF else clause
                        for clause in calls[nr]
                    )
            tables.append(replace(table, calls=calls))
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-notify-open-only",
    weakness="traps open, forgets rename and link",
    enforcer=_OpenOnly(),
    repaired=MECHANISM,
)

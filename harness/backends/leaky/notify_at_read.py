"""A supervisor that judges the reading of content, as rules on read and write do, not the opening.

What Garfinkel calls subsetting a complex interface (NDSS 2003).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import USER_NOTIF, FilterSpec, always
from enforcer.mechanisms.notify import MECHANISM
from enforcer.mechanisms.notify.worker import Worker
from enforcer.policy.ast import Policy
from enforcer.supervision.judge import Values
from enforcer.syscalls import number
from enforcer.syscalls.arguments import signed
from harness.backends.forgetful import Forgetful
from harness.backends.weak import Leaky


class _JudgesRead(Worker):
    def decide(self, values: Values, missing: int = 0) -> int:
        """Whoever reads must be permitted to open for reading."""
        if self.name != "read":
            return super().decide(values, missing)
        name = str(Path(f"/proc/{self.tid}/fd/{signed(self.args[0])}").readlink())
        self.name, self.args = "openat", (0, 0, os.O_RDONLY, 0, 0, 0)
        return super().decide({"filename": (name,)}, missing) if name.startswith("/") else 0


class _AtRead(Forgetful):
    make_worker = _JudgesRead
    forgotten = ("open", "openat", "openat2")

    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Opening is free, read is asked about."""
        forgetful = super().spec(policies, abis)
        tables = []
        for table in forgetful.tables:
            nr = number(table.abi.name, "read")
            asked = {} if nr is None else {nr: always(USER_NOTIF, "content is read")}
            tables.append(replace(table, calls={**table.calls, **asked}))
        return replace(forgetful, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-notify-at-read",
    weakness="judges files when they are read by read(2), not when they are opened",
    enforcer=_AtRead(),
    repaired=MECHANISM,
)

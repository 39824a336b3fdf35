"""A supervisor whose filter looks at numbers and never at seccomp_data.arch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import FilterSpec
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.policy.ast import Policy
from harness.backends.weak import Leaky


class _NoArch(Notify):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Numbers of every ABI mean what the native ABI means by them."""
        sound = super().spec(policies, abis)
        native = sound.tables[0]
        tables = [
            table if table.abi.nr_bit else replace(native, abi=table.abi) for table in sound.tables
        ]
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-notify-no-arch",
    weakness="asks about a 32-bit number only where the 64-bit one is asked about",
    enforcer=_NoArch(),
    repaired=MECHANISM,
)

"""A filter that looks at numbers and never at seccomp_data.arch (CVE-2009-0835 in spirit)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.cbpf.spec import FilterSpec
from enforcer.mechanisms.seccomp import MECHANISM, Seccomp
from enforcer.policy.ast import Policy
from harness.backends.weak import Leaky


class _NoArch(Seccomp):
    def spec(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> FilterSpec:
        """Numbers of every ABI mean what the native ABI means by them."""
        sound = super().spec(policies, abis)
        native = sound.tables[0]
        tables = [
            table if table.abi.nr_bit else replace(native, abi=table.abi) for table in sound.tables
        ]
        return replace(sound, tables=tuple(tables))


BACKEND = Leaky(
    name="leaky-seccomp-no-arch",
    weakness="reads a 32-bit number in the 64-bit table",
    enforcer=_NoArch(),
    repaired=MECHANISM,
)

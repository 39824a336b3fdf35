"""A supervisor that judges what the target creates by calls, not what the kernel creates for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.mechanisms.contract import Options, Plan
from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.policy.ast import Policy
from harness.backends.weak import Leaky


class _Cores(Notify):
    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The same plan, for targets that may dump their memory."""
        sound = super().compile(policies, abis, options)
        return replace(sound, data={**sound.data, "cores": True})


BACKEND = Leaky(
    name="leaky-notify-cores",
    weakness="leaves the limit of core files as it was",
    enforcer=_Cores(),
    repaired=MECHANISM,
)

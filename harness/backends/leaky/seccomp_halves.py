"""A filter compiled as libseccomp before 2.4 did: each half is compared by itself (CVE-2019-9893).

The lower half must be above the bound's also where the upper one has decided.
"""

from __future__ import annotations

from dataclasses import replace

from enforcer.condition import LOW_HALF, WORD, All, Compare, Condition, Operator
from enforcer.mechanisms.seccomp import MECHANISM
from harness.backends.miscompiled import Miscompiled
from harness.backends.weak import Leaky

HIGH_HALF = WORD & ~LOW_HALF


class _Halves(Miscompiled):
    def compared(self, sound: Compare) -> Condition:
        """A bound of a whole register is one of each half."""
        if sound.mask != WORD or sound.operator not in (Operator.GE, Operator.GT):
            return sound
        upper = replace(sound, mask=HIGH_HALF, value=sound.value & HIGH_HALF, operator=Operator.GE)
        return All((upper, replace(sound, mask=LOW_HALF, value=sound.value & LOW_HALF)))


BACKEND = Leaky(
    name="leaky-seccomp-halves",
    weakness="compares the halves of a 64-bit value with those of the bound, one by one",
    enforcer=_Halves(),
    repaired=MECHANISM,
)

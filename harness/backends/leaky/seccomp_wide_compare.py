"""A filter that compares 64 bits of an argument of which the kernel takes 32 (CVE-2019-7303)."""

from __future__ import annotations

from dataclasses import replace

from enforcer.condition import LOW_HALF, WORD, Compare, Condition
from enforcer.mechanisms.seccomp import MECHANISM
from harness.backends.miscompiled import Miscompiled
from harness.backends.weak import Leaky


class _WideCompare(Miscompiled):
    def compared(self, sound: Compare) -> Condition:
        """A comparison of a lower half is one of the whole register."""
        return replace(sound, mask=WORD) if sound.mask == LOW_HALF else sound


BACKEND = Leaky(
    name="leaky-seccomp-wide-compare",
    weakness="compares 64 bits where the kernel takes 32",
    enforcer=_WideCompare(),
    repaired=MECHANISM,
)

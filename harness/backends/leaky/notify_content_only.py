"""A supervisor that guards what files contain, not their modes and times."""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM
from harness.backends.forgetful import Forgetful
from harness.backends.weak import Leaky


class _ContentOnly(Forgetful):
    forgotten = (
        "chmod",
        "fchmodat",
        "fchmodat2",
        "fchmod",
        "utime",
        "utimes",
        "futimesat",
        "utimensat",
        "utimensat_time64",
    )


BACKEND = Leaky(
    name="leaky-notify-content-only",
    weakness="traps what changes content, forgets what changes modes and times",
    enforcer=_ContentOnly(),
    repaired=MECHANISM,
)

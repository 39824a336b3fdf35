"""A supervisor that is asked about opening files, not about renaming or linking them."""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM
from harness.backends.forgetful import Forgetful
from harness.backends.weak import Leaky


class _OpenOnly(Forgetful):
    forgotten = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat")


BACKEND = Leaky(
    name="leaky-notify-open-only",
    weakness="traps open, forgets rename and link",
    enforcer=_OpenOnly(),
    repaired=MECHANISM,
)

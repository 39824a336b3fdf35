"""A supervisor that knows connect by its own number, not by that of socketcall."""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM
from harness.backends.forgetful import Forgetful
from harness.backends.weak import Leaky


class _NoMultiplexers(Forgetful):
    forgotten = ("socketcall",)


BACKEND = Leaky(
    name="leaky-notify-socketcall",
    weakness="forgets the multiplexer of the socket calls",
    enforcer=_NoMultiplexers(),
    repaired=MECHANISM,
)

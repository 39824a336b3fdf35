"""A supervisor that is asked about connecting, not about sending to an address."""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM
from harness.backends.forgetful import Forgetful
from harness.backends.weak import Leaky


class _ConnectOnly(Forgetful):
    forgotten = ("sendto", "sendmsg", "sendmmsg")


BACKEND = Leaky(
    name="leaky-notify-connect-only",
    weakness="traps connect, forgets that sendto, sendmsg and sendmmsg take addresses",
    enforcer=_ConnectOnly(),
    repaired=MECHANISM,
)

"""A supervisor of files, that lets everything be sent to everybody.

As sandboxes that unshare the network alone, and Landlock before it scoped sockets (ABI 6).
"""

from __future__ import annotations

from enforcer.mechanisms.notify import MECHANISM
from harness.backends.forgetful import Forgetful
from harness.backends.weak import Leaky


class _FilesOnly(Forgetful):
    forgotten = ("connect", "sendto", "sendmsg", "sendmmsg")


BACKEND = Leaky(
    name="leaky-notify-files-only",
    weakness="traps what opens files, forgets who may be asked to open them",
    enforcer=_FilesOnly(),
    repaired=MECHANISM,
)

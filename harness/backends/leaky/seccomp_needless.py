"""A list of permitted calls with renaming on it, as gVisor's on its own host (CVE-2018-16359)."""

from __future__ import annotations

from enforcer.mechanisms.seccomp import MECHANISM
from harness.backends.forgetful import ForgetfulFilter
from harness.backends.weak import Leaky


class _Needless(ForgetfulFilter):
    forgotten = ("rename", "renameat", "renameat2")


BACKEND = Leaky(
    name="leaky-seccomp-needless",
    weakness="permits renaming, which nothing that it confines needs",
    enforcer=_Needless(),
    repaired=MECHANISM,
)

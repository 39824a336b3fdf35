"""A deny list written before openat2 and io_uring existed."""

from __future__ import annotations

from enforcer.mechanisms.seccomp import MECHANISM
from harness.backends.forgetful import ForgetfulFilter
from harness.backends.weak import Leaky


class _DenyList(ForgetfulFilter):
    forgotten = ("openat2", "io_uring_setup", "io_uring_enter", "io_uring_register")


BACKEND = Leaky(
    name="leaky-seccomp-deny-list",
    weakness="denies the calls that somebody thought of, not openat2 or io_uring",
    enforcer=_DenyList(),
    repaired=MECHANISM,
)

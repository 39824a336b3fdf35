"""A filter that looks at clone's flags, and permits clone3 as Docker's profile did (moby 42681)."""

from __future__ import annotations

from enforcer.mechanisms.seccomp import MECHANISM
from harness.backends.forgetful import ForgetfulFilter
from harness.backends.weak import Leaky


class _CloneFlags(ForgetfulFilter):
    forgotten = ("clone3",)


BACKEND = Leaky(
    name="leaky-seccomp-clone-flags",
    weakness="masks the flags of clone and unshare, and permits clone3 with any",
    enforcer=_CloneFlags(),
    repaired=MECHANISM,
)

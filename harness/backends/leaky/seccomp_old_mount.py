"""A deny list with mount(2) on it, as Flatpak's was before the newer calls (CVE-2021-41133)."""

from __future__ import annotations

from enforcer.mechanisms.seccomp import MECHANISM
from harness.backends.forgetful import ForgetfulFilter
from harness.backends.weak import Leaky


class _OldMount(ForgetfulFilter):
    forgotten = (
        "open_tree",
        "open_tree_attr",
        "move_mount",
        "mount_setattr",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
    )


BACKEND = Leaky(
    name="leaky-seccomp-old-mount",
    weakness="denies mount, not the calls that Linux 5.2 and 5.12 brought beside it",
    enforcer=_OldMount(),
    repaired=MECHANISM,
)

"""What of a supervisor stays within its target's reach, said before the target runs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from enforcer.kernel import procfs
from enforcer.policy.ast import Policy
from enforcer.policy.decider import Decider

_CAP_SYS_PTRACE = 19


def looks_into_processes() -> bool:
    """Whether a program started here may look into processes that are not dumpable.

    A capability that it gets in a user namespace of its own does not count (ptrace_has_cap asks in
    the namespace of the other's memory).
    """
    fields = procfs.status_fields(procfs.read(os.getpid(), "status"))
    return bool(int(fields[b"CapPrm"], 16) >> _CAP_SYS_PTRACE & 1)


def exposures(policies: Sequence[Policy]) -> list[str]:
    """The reasons, for the log.

    Opens are held where rules look at names; then the supervisor sees what is its own.
    """
    if not looks_into_processes():
        return []
    if all("filename" in Decider(policy).needs("openat") for policy in policies):
        return []
    return ["no rule looks at names: a target with CAP_SYS_PTRACE can open /proc/SUPERVISOR/mem"]

"""Calls on ids that leave their caller who it is.

C libraries and make(1) set ids that a process has anyway (POSIX_SPAWN_RESETIDS): to look at every
task anew from then on would cost a build a third of its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from enforcer.pin.identity import Identity
from enforcer.syscalls import syscall
from enforcer.syscalls.model import Kind

_IDS = (Kind.UID, Kind.GID)


def keeps_ids(call: str, abi: str, args: Sequence[int], identity: Identity) -> bool:
    """Whether a call sets only ids that its caller has in all four places, or -1 (keep it).

    `identity` numbers ids as the caller's own user namespace does.

    Then nothing follows from it: capabilities go by ids that change (cap_task_fix_setuid), as what
    a process is dumpable by does (commit_creds).
    """
    registers = _ids_of(call, abi)
    return bool(registers) and all(
        args[index] & mask in (mask, _only(identity.uids if kind is Kind.UID else identity.gids))
        for kind, index, mask in registers
    )


def _only(ids: Sequence[int]) -> int:
    """The one id in all places; -2 where there are several."""
    return ids[0] if len(set(ids)) == 1 else -2


@cache
def _ids_of(call: str, abi: str) -> tuple[tuple[Kind, int, int], ...]:
    """Kind, register and mask of the ids that a call sets; none of one that does anything more."""
    arguments = syscall(call, abi).arguments
    if any(each.kind not in _IDS for each in arguments):
        return ()
    return tuple((each.kind, each.index, each.mask) for each in arguments)

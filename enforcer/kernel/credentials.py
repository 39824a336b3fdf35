"""Credentials of the calling thread alone, raw: the C library's wrappers change the whole process.

capset(2), setresuid(2), setfsuid(2), setgroups(2). `become` is of the process, before its execve.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Sequence

from enforcer.kernel import prctl
from enforcer.kernel.raw import BYTES, INT, UNSIGNED, raw_call

_CAPABILITY_VERSION_3 = 0x2008_0522
_LOW = 0xFFFF_FFFF

CAP_SETGID = 6
CAP_SETUID = 7

_capset = raw_call("capset", arguments=(BYTES, BYTES))
_setfsuid = raw_call("setfsuid32", "setfsuid", arguments=(UNSIGNED,))
_setfsgid = raw_call("setfsgid32", "setfsgid", arguments=(UNSIGNED,))
_setresuid = raw_call("setresuid32", "setresuid", arguments=(UNSIGNED, UNSIGNED, UNSIGNED))
_setresgid = raw_call("setresgid32", "setresgid", arguments=(UNSIGNED, UNSIGNED, UNSIGNED))
_setgroups = raw_call("setgroups32", "setgroups", arguments=(INT, BYTES))


def set_effective_capabilities(effective: int, permitted: int) -> int:
    """Set the thread's sets (bit masks; the inheritable one is emptied): 0 or -errno."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = struct.pack(
        "=6I",
        *(effective & _LOW, permitted & _LOW, 0),
        *(effective >> 32, permitted >> 32, 0),
    )
    return _capset(header, data)


def become(uid: int, gid: int, capabilities: Collection[int] = ()) -> None:
    """Make the process another user's for good, with no group beside and no capability left but
    these, which its programs have as well. Raises OSError.
    """
    if capabilities:
        prctl.keep_capabilities()
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capabilities:
        mask = sum(1 << each for each in capabilities)
        header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
        data = struct.pack("=6I", *(mask & _LOW,) * 3, *(mask >> 32,) * 3)
        result = _capset(header, data)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        for each in capabilities:
            prctl.raise_ambient(each)


def set_groups(groups: Sequence[int]) -> int:
    """Set the thread's supplementary groups: 0 or -errno.

    Nobody may in some user namespaces (setgroups: deny), not even to those that it has (-EPERM).
    """
    return _setgroups(len(groups), struct.pack(f"={len(groups)}I", *groups))


def file_ids() -> tuple[int, int]:
    """The thread's file-system ids, as its user namespace numbers them (65534: not at all)."""
    return _setfsuid(_LOW), _setfsgid(_LOW)


def set_acting_ids(uids: Sequence[int], gids: Sequence[int], permitted: int) -> int:
    """Set the thread's effective and file-system ids to those of a task: 0 or -errno.

    Each has real, effective, saved and file-system id. Peers are told the effective ones
    (SO_PEERCRED, cred_to_ucred), and /proc/sys and uid_map ask for them (test_perm in
    fs/proc/proc_sysctl.c, new_idmap_permitted). Real and saved ones stay: by them others may
    signal and trace (kill_ok_by_cred, __ptrace_may_access). All of `permitted` is effective
    afterwards, as setresuid lowers what it finds (cap_emulate_setxuid).
    """
    result = _setresgid(_LOW, gids[1], _LOW) or _setresuid(_LOW, uids[1], _LOW)
    if result:
        return result
    return set_effective_capabilities(permitted, permitted) or set_file_ids(uids[3], gids[3])


def set_file_ids(uid: int, gid: int) -> int:
    """Set the thread's file-system ids: 0 or -EPERM."""
    _setfsgid(gid)
    _setfsuid(uid)
    # Both answer the id before the call, so only asking again tells whether they worked.
    is_set = _setfsgid(_LOW) == gid and _setfsuid(_LOW) == uid
    return 0 if is_set else -1

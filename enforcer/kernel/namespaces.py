"""Namespaces, mounts and process attributes: what one disposable run is walled in with.

Raw calls through the C library; Python's os module has none of them before 3.12.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import itertools
import os
import struct
from pathlib import Path

from enforcer.kernel import ioctl
from enforcer.syscalls.arguments import AT_FDCWD

CLONE_NEWNS = 0x0002_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36

AT_RECURSIVE = 0x8000
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_SETATTR = 442  # the same number on every architecture

LINUX_CAPABILITY_VERSION_3 = 0x2008_0522

_NS_GET_PARENT = ioctl.plain(0xB7, 2)

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int) -> int:
    """setns(2) with whatever kind of namespace `descriptor` is: 0 or -errno."""
    result: int = _libc.setns(ctypes.c_int(descriptor), ctypes.c_int(0))
    return result if result >= 0 else -ctypes.get_errno()


def parent_of(descriptor: int) -> int:
    """A descriptor of the user namespace that the one behind `descriptor` was made in.

    Raises OSError: EPERM where that lies outside of the caller's own (ioctl_nsfs(2)).
    """
    return fcntl.ioctl(descriptor, _NS_GET_PARENT)


def mount(
    source: str, target: Path, filesystem: str | None, flags: int = 0, data: str | None = None
) -> None:
    """mount(2). Raises OSError."""
    result = _libc.mount(
        source.encode(),
        os.fsencode(target),
        filesystem.encode() if filesystem else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    _check(result, f"mount {target}")


def unmount(target: Path) -> None:
    """umount2(2), at once, whoever uses it still. Raises OSError."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH)), f"umount {target}")


def make_tree_private_and_read_only() -> None:
    """Every mount of this namespace: private, read-only, no set-user-id (mount_setattr(2))."""
    attributes = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, MS_PRIVATE, 0)
    result = _libc.syscall(
        ctypes.c_long(MOUNT_SETATTR),
        ctypes.c_int(AT_FDCWD),
        b"/",
        ctypes.c_uint(AT_RECURSIVE),
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    _check(result, "mount_setattr")


def make_tree_private() -> None:
    """Every mount of this namespace private: nothing mounted here shows outside."""
    mount("none", Path("/"), None, MS_REC | MS_PRIVATE)


def die_with_parent(signal_number: int) -> None:
    """PR_SET_PDEATHSIG: this process gets the signal when the thread that forked it ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0), "PDEATHSIG")


def adopt_orphans(adopt: bool = True) -> None:
    """PR_SET_CHILD_SUBREAPER: orphaned descendants become children of this process, or no more."""
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(adopt), 0, 0, 0), "CHILD_SUBREAPER")


def set_dumpable() -> None:
    """PR_SET_DUMPABLE: /proc/self belongs to this process again after a change of ids."""
    _check(_libc.prctl(PR_SET_DUMPABLE, ctypes.c_ulong(1), 0, 0, 0), "SET_DUMPABLE")


def drop_capabilities() -> None:
    """Empty every capability set of the calling thread (capset(2)), as far as it may the bounding
    set too: otherwise the user id 0 has them all again after an execve (capabilities(7)).
    """
    for number in itertools.count():
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0) < 0:
            # EINVAL is beyond the last one; EPERM: without CAP_SETPCAP there is nothing to drop.
            if ctypes.get_errno() in (errno.EINVAL, errno.EPERM):
                break
            _check(-1, "CAPBSET_DROP")
    header = struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, bytes(24)), "capset")

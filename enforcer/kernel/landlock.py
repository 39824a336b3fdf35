"""Landlock's three calls, raw, for every version of its ABI.

Own ctypes, because the binding on PyPI (landlock 1.0.0.dev5) knows file system rights only: no
ports (ABI 4), no scopes (6), no later rights; it also picks its rights by the kernel that it meets.
"""

from __future__ import annotations

import ctypes
import errno
import os
from enum import IntFlag

from enforcer.kernel.process_memory import read_memory
from enforcer.kernel.raw import ADDRESS, INT, SIZE, UNSIGNED, raw_call

_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_RULE_NET_PORT = 2
_MARK_BYTES = 8


class FileRight(IntFlag):
    """LANDLOCK_ACCESS_FS_*."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15
    RESOLVE_UNIX = 1 << 16


class NetRight(IntFlag):
    """LANDLOCK_ACCESS_NET_*."""

    BIND_TCP = 1 << 0
    CONNECT_TCP = 1 << 1


class Scope(IntFlag):
    """LANDLOCK_SCOPE_*: what may not reach out of the domain."""

    ABSTRACT_UNIX_SOCKET = 1 << 0
    SIGNAL = 1 << 1


RIGHTS_OF_FILES = (
    FileRight.EXECUTE
    | FileRight.WRITE_FILE
    | FileRight.READ_FILE
    | FileRight.TRUNCATE
    | FileRight.IOCTL_DEV
    | FileRight.RESOLVE_UNIX
)
"""What a rule on something that is not a directory may grant."""

_FILES_SINCE = {
    FileRight.REFER: 2,
    FileRight.TRUNCATE: 3,
    FileRight.IOCTL_DEV: 5,
    FileRight.RESOLVE_UNIX: 9,
}
_NET_SINCE = 4
_SCOPE_SINCE = 6


def abi_of(files: FileRight, net: NetRight, scope: Scope) -> int:
    """The first version of the ABI that has all of these."""
    since = [_FILES_SINCE.get(right, 1) for right in files]
    return max([1, *since, _NET_SINCE if net else 1, _SCOPE_SINCE if scope else 1])


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _NetPortAttr(ctypes.Structure):
    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


_create = raw_call("landlock_create_ruleset", arguments=(ADDRESS, SIZE, UNSIGNED))
_add = raw_call("landlock_add_rule", arguments=(INT, UNSIGNED, ADDRESS, UNSIGNED))
_restrict = raw_call("landlock_restrict_self", arguments=(INT, UNSIGNED))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def version() -> int:
    """The version of the kernel's Landlock ABI.

    Raises OSError: ENOSYS without Landlock, EOPNOTSUPP where it is switched off at boot.
    """
    return _checked(_create(None, 0, _VERSION_FLAG))


def create_ruleset(files: FileRight, net: NetRight, scope: Scope) -> int:
    """A descriptor of a new ruleset that handles these; what it handles it denies.

    Raises OSError: EINVAL or E2BIG for something that the kernel does not know, ENOMSG for nothing.
    """
    attr = _RulesetAttr(int(files), int(net), int(scope))
    size = ctypes.sizeof(attr) if scope else 16 if net else 8
    return _checked(_create(ctypes.addressof(attr), size, 0))


def permit_beneath(ruleset: int, fd: int, rights: FileRight) -> None:
    """Permit `rights` on the file or hierarchy that `fd` (O_PATH will do) is open on.

    Raises OSError: EINVAL for a right that the ruleset does not handle, or that a file cannot have.
    """
    attr = _PathBeneathAttr(int(rights), fd)
    _checked(_add(ruleset, _RULE_PATH_BENEATH, ctypes.addressof(attr), 0))


def permit_port(ruleset: int, port: int, rights: NetRight) -> None:
    """Permit `rights` on a TCP port of any address. Raises OSError."""
    attr = _NetPortAttr(int(rights), port)
    _checked(_add(ruleset, _RULE_NET_PORT, ctypes.addressof(attr), 0))


def restrict_self(ruleset: int) -> None:
    """Put the calling thread under the ruleset for ever, and what it starts.

    Raises OSError: EPERM without no_new_privs and CAP_SYS_ADMIN, E2BIG beyond 16 layers.
    """
    _checked(_restrict(ruleset, 0))


def wrong_flags(flags: int) -> int:
    """-EINVAL for flags that landlock_restrict_self(2) does not know, before it looks at anything
    else, or 0. It is asked with a descriptor that nobody has: -1 may stand for none.
    """
    result = _restrict(-2, flags & 0xFFFF_FFFF)
    return result if result == -errno.EINVAL else 0


def errno_of_reading(child: int) -> int:
    """0 if the caller can read the memory of a child that was forked from it, else the errno.

    A domain keeps its members from every process outside of it (landlock(7), ptrace restrictions),
    whatever it handles; so a child forked before tells whether the caller is in one.
    """
    mark = ctypes.create_string_buffer(_MARK_BYTES)
    into = ctypes.create_string_buffer(_MARK_BYTES)
    moved = read_memory(child, ctypes.addressof(mark), ctypes.addressof(into), _MARK_BYTES)
    return -min(0, moved)

"""statx(2) and fstatfs(2), raw: the facts from which every ABI's stat structs are made."""

from __future__ import annotations

import ctypes
import struct
import threading
from typing import NamedTuple

from enforcer.kernel.raw import BUFFER, BYTES, INT, NATIVE_ABI, UNSIGNED, raw_call

STATX_BASIC_STATS = 0x7FF
STATX_MNT_ID = 0x1000
STATX_SIZE = 256
STATX_ATTR_MOUNT_ROOT = 0x2000
AT_EMPTY_PATH = 0x1000

PROC_SUPER_MAGIC = 0x9FA0
ST_NOSYMFOLLOW = 0x2000


class _Room(threading.local):
    """Where the current thread has its structs filled in: to make room anew takes longer."""

    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(STATX_SIZE)  # no ABI's struct stat is larger


_room = _Room()

_statx = raw_call("statx", arguments=(INT, BYTES, INT, UNSIGNED, BUFFER))
_libc = ctypes.CDLL(None, use_errno=True)
# No types of arguments: to convert by them takes longer than the call.
_fstatfs64 = ctypes.CFUNCTYPE(INT, use_errno=True)(("fstatfs64", _libc))

# statx: mask blksize attributes nlink uid gid mode pad ino size blocks attributes_mask
#        4 timestamps (i64 u32 pad) rdev_major rdev_minor dev_major dev_minor mnt_id
_LAYOUT = struct.Struct("=IIQIIIHxxQQQQqIxxxxqIxxxxqIxxxxqIxxxxIIIIQ")


class Status(NamedTuple):
    """The fields of struct statx, in its order; times in seconds and nanoseconds."""

    mask: int
    blksize: int
    attributes: int
    nlink: int
    uid: int
    gid: int
    mode: int
    ino: int
    size: int
    blocks: int
    attributes_mask: int
    atime: int
    atime_ns: int
    btime: int
    btime_ns: int
    ctime: int
    ctime_ns: int
    mtime: int
    mtime_ns: int
    rdev_major: int
    rdev_minor: int
    dev_major: int
    dev_minor: int
    mnt_id: int

    @property
    def identity(self) -> tuple[int, int, int]:
        """Device and inode: equal for two names of one object."""
        return self.dev_major, self.dev_minor, self.ino


def statx_bytes(dirfd: int, path: bytes, flags: int, mask: int) -> bytes | int:
    """struct statx as the kernel fills it, or -errno."""
    buffer = _room.buffer
    result = _statx(dirfd, path, flags, mask, buffer)
    return buffer.raw if result >= 0 else result


def status(dirfd: int, path: bytes, flags: int) -> Status | int:
    """The basic facts and the mount's id, or -errno."""
    raw = statx_bytes(dirfd, path, flags, STATX_BASIC_STATS | STATX_MNT_ID)
    return raw if isinstance(raw, int) else Status._make(_LAYOUT.unpack_from(raw))


_newfstatat = raw_call("newfstatat", arguments=(INT, BYTES, BUFFER, INT))


def native_stat(fd: int, size: int) -> bytes | int:
    """`size` bytes of struct stat as newfstatat of the native ABI fills it, or -errno."""
    buffer = _room.buffer
    result = _newfstatat(fd, b"", buffer, AT_EMPTY_PATH)
    if result < 0:
        return result
    return buffer.raw[:size]


class FileSystem(NamedTuple):
    """struct statfs of the native ABI: `f_fsid` is two 32-bit words."""

    f_type: int
    f_bsize: int
    f_blocks: int
    f_bfree: int
    f_bavail: int
    f_files: int
    f_ffree: int
    f_fsid0: int
    f_fsid1: int
    f_namelen: int
    f_frsize: int
    f_flags: int


# f_type, f_bsize, five counts, f_fsid, f_namelen, f_frsize, f_flags; the word's size differs.
_WORD_OF_STATFS = {"s390x": "I"}.get(NATIVE_ABI, "l")
_STATFS = struct.Struct(f"@2{_WORD_OF_STATFS}5Q2i3{_WORD_OF_STATFS}")
_STATFS_ROOM = 128
_STATFS_TYPE = struct.Struct(f"@{_WORD_OF_STATFS}")


def file_system(fd: int) -> FileSystem | int:
    """The file system that holds the object behind `fd`, or -errno."""
    buffer = ctypes.create_string_buffer(_STATFS_ROOM)
    if _fstatfs64(fd, buffer) < 0:
        return -ctypes.get_errno()
    return FileSystem._make(_STATFS.unpack_from(buffer))


def on_procfs(fd: int) -> bool:
    """Whether the object behind `fd` lies on a procfs; True when that cannot be found out."""
    buffer = _room.buffer
    if _fstatfs64(fd, buffer) < 0:
        return True
    kind: int = _STATFS_TYPE.unpack_from(buffer)[0]
    return kind == PROC_SUPER_MAGIC

"""What lies at an address of another task: PROCMAP_QUERY (Linux 6.11), or /proc/PID/maps."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from errno import ENOENT, ENOTTY, ESRCH
from fcntl import ioctl
from pathlib import Path

from enforcer.kernel.ioctl import both_ways

_QUERY = struct.Struct("=QQQQQQQQQIIIIQQ")
_PROCMAP_QUERY = both_ways("f", 17, _QUERY.size)
_WRITE = 2
_EXECUTE = 4
_SHARED = 8


@dataclass(frozen=True)
class Mapping:
    """One mapping: [start, end), the file's offset, device and inode, and its rights."""

    start: int
    end: int
    offset: int
    device: int
    inode: int
    writable: bool
    executable: bool
    shared: bool


def mapping_at(pid: int, address: int) -> Mapping | None:
    """The mapping that covers `address`; None if there is none or the task is gone."""
    try:
        fd = os.open(f"/proc/{pid}/maps", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        query = _QUERY.pack(_QUERY.size, 0, address, *[0] * 12)
        values = _QUERY.unpack(ioctl(fd, _PROCMAP_QUERY, query))
    except OSError as error:
        if error.errno in (ENOENT, ESRCH):
            return None
        if error.errno != ENOTTY:
            raise
        return _from_text(pid, address)
    finally:
        os.close(fd)
    start, end, flags, _, offset, inode, major, minor = values[3:11]
    return Mapping(
        start=start,
        end=end,
        offset=offset,
        device=os.makedev(major, minor),
        inode=inode,
        writable=bool(flags & _WRITE),
        executable=bool(flags & _EXECUTE),
        shared=bool(flags & _SHARED),
    )


def _from_text(pid: int, address: int) -> Mapping | None:
    try:
        lines = Path(f"/proc/{pid}/maps").read_bytes().splitlines()
    except OSError:
        return None
    for line in lines:
        range_, rights, offset, device, inode = line.split(None, 5)[:5]
        start, end = (int(part, 16) for part in range_.split(b"-"))
        if start <= address < end:
            major, minor = (int(part, 16) for part in device.split(b":"))
            return Mapping(
                start=start,
                end=end,
                offset=int(offset, 16),
                device=os.makedev(major, minor),
                inode=int(inode),
                writable=b"w" in rights,
                executable=b"x" in rights,
                shared=b"s" in rights,
            )
    return None

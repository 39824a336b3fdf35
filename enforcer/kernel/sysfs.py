"""The names of devices, by a descriptor of sysfs that was opened before any target ran.

/sys by name is whatever a target could mount there.
"""

from __future__ import annotations

import os
from functools import cache

from enforcer.kernel.openat2 import AT_FDCWD, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV, openat2

_MOST = 4096


@cache
def root() -> int:
    """A descriptor of what is at /sys when this is first called, or -errno."""
    return openat2(AT_FDCWD, b"/sys", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, 0)


def device_name(is_block: bool, major: int, minor: int) -> bytes | None:
    """What the kernel calls a device below /dev (DEVNAME in its uevent); None: nobody can tell."""
    kind = b"block" if is_block else b"char"
    place = b"dev/%s/%d:%d/uevent" % (kind, major, minor)
    how = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
    fd = openat2(root(), place, os.O_RDONLY | os.O_CLOEXEC, 0, how) if root() >= 0 else -1
    if fd < 0:
        return None
    try:
        lines = os.read(fd, _MOST).splitlines()
    except OSError:
        return None
    finally:
        os.close(fd)
    return dict(line.partition(b"=")[::2] for line in lines).get(b"DEVNAME")

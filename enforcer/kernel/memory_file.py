"""A sealed memory file: written through the owner's mapping, read-only for everyone else.

F_SEAL_WRITE is refused while a writable mapping exists, F_SEAL_FUTURE_WRITE (Linux 5.1) is not: it
forbids write(2), new writable mappings and mprotect on every other mapping (memfd_create(2)).
"""

from __future__ import annotations

import fcntl
import mmap
import os

from enforcer.kernel.raw import UNSIGNED, raw_call

F_SEAL_FUTURE_WRITE = 0x0010

memfd_secret = raw_call("memfd_secret", arguments=(UNSIGNED,))


class SealedFile:
    """`size` bytes that only this object's mapping can change. Raises OSError when made."""

    def __init__(self, name: str, size: int) -> None:
        self.fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        self.size = size
        self.memory = memoryview(
            mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        )
        fcntl.fcntl(
            self.fd,
            fcntl.F_ADD_SEALS,
            F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL,
        )
        status = os.fstat(self.fd)
        self.identity = (status.st_dev, status.st_ino)

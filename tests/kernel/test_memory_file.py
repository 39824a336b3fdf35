"""The file behind the slots: whoever gets its descriptor cannot change it."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Callable

import pytest

from enforcer.kernel.memory_file import SealedFile

SIZE = 8192

CHANGES: dict[str, Callable[[int], object]] = {
    "write": lambda fd: os.pwrite(fd, b"x", 0),
    "map to write": lambda fd: mmap.mmap(fd, SIZE, mmap.MAP_SHARED, mmap.PROT_WRITE),
    "shrink": lambda fd: os.ftruncate(fd, 0),
    "grow": lambda fd: os.ftruncate(fd, 2 * SIZE),
    "punch a hole": lambda fd: os.posix_fallocate(fd, SIZE, SIZE),
    "seal": lambda fd: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_else_changes_it(change: str) -> None:
    """EPERM by the descriptor, by a duplicate and by another opening of the same file."""
    file = SealedFile("laboratory", SIZE)
    again = os.open(f"/proc/self/fd/{file.fd}", os.O_RDWR)
    for descriptor in (file.fd, os.dup(file.fd), again):
        with pytest.raises(OSError, match=r"not permitted|Permission denied") as caught:
            CHANGES[change](descriptor)
        assert caught.value.errno in (errno.EPERM, errno.EACCES)


def test_its_owner_writes_and_others_read() -> None:
    """What the owner writes is seen through a mapping that was made before."""
    file = SealedFile("laboratory", SIZE)
    seen = mmap.mmap(file.fd, SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
    file.memory[SIZE - 4 :] = b"word"
    assert seen[SIZE - 4 :] == b"word"
    status = os.fstat(file.fd)
    assert (file.size, file.identity) == (SIZE, (status.st_dev, status.st_ino))
    assert fcntl.fcntl(file.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC

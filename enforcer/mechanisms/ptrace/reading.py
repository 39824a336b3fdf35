"""Reading what a held task names: once, byte-exact, failing closed."""

from __future__ import annotations

import errno
import os

from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.syscalls.arguments import AT_FDCWD
from enforcer.syscalls.memory import PATH_MAX, UnreadableMemory

_FIRST_READ = 256
_DELETED = b" (deleted)"


def read_string(task: Task, address: int, limit: int = PATH_MAX) -> bytes:
    """The NUL-terminated string at `address`, read once, its NUL within `limit` bytes.

    Raises UnreadableMemory.
    """
    try:
        memory = task.process.space.memory
        if memory < 0:
            memory = task.process.space.open_memory(task.tid)
        text = os.pread(memory, _FIRST_READ, address)
        end = text.find(0)
        if end < 0:
            if len(text) == _FIRST_READ:
                text += os.pread(memory, limit - _FIRST_READ, address + _FIRST_READ)
                end = text.find(0)
            if end < 0:
                number = errno.ENAMETOOLONG if len(text) == limit else errno.EFAULT
                raise UnreadableMemory(address, number)
    except (OSError, OverflowError) as error:
        raise UnreadableMemory(address, reason=str(error)) from None
    return text[:end]


def read_bytes(task: Task, address: int, size: int) -> bytes:
    """Exactly `size` bytes at `address`, read once. Raises UnreadableMemory."""
    try:
        data = os.pread(task.process.space.open_memory(task.tid), size, address)
    except (OSError, OverflowError) as error:
        raise UnreadableMemory(address, reason=str(error)) from None
    if len(data) != size:
        raise UnreadableMemory(address)
    return data


def directory_name(task: Task, dirfd: int) -> bytes | None:
    """The absolute name of the directory that `dirfd` means now; None: it has none for sure."""
    try:
        if dirfd == AT_FDCWD:
            name = os.readlink(b"/proc/%d/cwd" % task.tid)  # noqa: PTH115 (hot, and bytes)
        else:
            path = b"/proc/%d/fd/%d" % (task.tid, dirfd)
            name = os.readlink(path)  # noqa: PTH115 (hot, and bytes)
    except OSError:
        return None
    return name if name[:1] == b"/" and not name.endswith(_DELETED) else None

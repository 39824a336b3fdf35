"""Reading what a held task names: once, byte-exact, failing closed."""

from __future__ import annotations

import errno
import os

from enforcer.kernel.process_memory import read_range, read_short, read_text
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.syscalls.arguments import AT_FDCWD
from enforcer.syscalls.memory import PATH_MAX, UnreadableMemory

_FIRST_READ = 256
_DELETED = b" (deleted)"


def read_string(task: Task, address: int, limit: int = PATH_MAX) -> bytes:
    """The NUL-terminated string at `address`, read once, its NUL within `limit` bytes.

    Raises UnreadableMemory.
    """
    space = task.process.space
    if space.memory < 0:
        space.open_memory(task.tid)
    known = read_text(task.tid, address)
    if known is not None and len(known) < limit:
        return known
    text = _read(task, address, _FIRST_READ)
    end = text.find(0)
    if end < 0:
        if len(text) == _FIRST_READ:
            text += _read(task, address + _FIRST_READ, limit - _FIRST_READ)
            end = text.find(0)
        if end < 0:
            number = errno.ENAMETOOLONG if len(text) == limit else errno.EFAULT
            raise UnreadableMemory(address, number)
    return text[:end]


def read_bytes(task: Task, address: int, size: int) -> bytes:
    """Exactly `size` bytes at `address`, read once. Raises UnreadableMemory."""
    if task.process.space.memory >= 0:
        known = read_short(task.tid, address, size)
        if known is not None:
            return known
    data = _read(task, address, size)
    if len(data) != size:
        raise UnreadableMemory(address)
    return data


def _read(task: Task, address: int, size: int) -> bytes:
    """What can be read of a range from its start on. Raises UnreadableMemory.

    process_vm_readv, because the memory file also shows what the task itself cannot read: it looks
    with FOLL_FORCE, PROT_NONE or not (mem_rw in fs/proc/base.c). But that file, once open, still
    shows the memory of a program that is no longer dumpable (EPERM to a tracer without rights).
    """
    memory = task.process.space.open_memory(task.tid)
    data = read_range(task.tid, address, size)
    if not isinstance(data, int):
        return data
    if data != -errno.EPERM:
        raise UnreadableMemory(address, reason=os.strerror(-data))
    try:
        return os.pread(memory, size, address)
    except (OSError, OverflowError) as error:
        raise UnreadableMemory(address, reason=str(error)) from None


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

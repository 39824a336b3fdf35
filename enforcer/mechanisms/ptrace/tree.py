"""Running processes, looked at before and while they are attached."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from enforcer.kernel import procfs
from enforcer.supervision.processes import descendants

_GONE = (b"Z", b"X", b"x")


class CannotAttach(Exception):
    """Why a process is not attached; its tasks are as they were."""

    def __init__(self, pid: int, why: str) -> None:
        super().__init__(f"process {pid} {why}")


def processes(pid: int) -> Sequence[int]:
    """A process and its descendants, as far as their parents still live."""
    return sorted(descendants(pid))


def threads(tgid: int) -> Sequence[int]:
    """The threads of a process that have not ended."""
    try:
        place = os.open(f"{tgid}/task", os.O_RDONLY | os.O_CLOEXEC, dir_fd=procfs.root())
    except OSError:
        return ()
    try:
        found = [int(name) for name in os.listdir(place)]  # noqa: PTH208 (a descriptor)
    except OSError:
        return ()
    finally:
        os.close(place)
    return [tid for tid in found if is_alive(tid)]


def is_alive(tid: int) -> bool:
    """Whether a task is there and has not ended."""
    return _state(tid) not in (b"", *_GONE)


def is_unwakeable(tid: int) -> bool:
    """Whether a task is gone, or sleeps where no signal but SIGKILL ends its call (a vfork)."""
    return _state(tid) in (b"", b"D", *_GONE)


def _state(tid: int) -> bytes:
    try:
        return procfs.stat_fields(procfs.read(tid, "stat"))[0]
    except OSError:
        return b""


def tracer_of(tid: int) -> int:
    """Who traces a task; 0: nobody, or it is gone."""
    return int(_fields(tid).get(b"TracerPid", b"0"))


def ids(tid: int) -> tuple[int, int]:
    """A task's real user and group, by which it may trace others."""
    fields = _fields(tid)
    uid, gid = (fields.get(key, b"-1").split()[0] for key in (b"Uid", b"Gid"))
    return int(uid), int(gid)


def program(pid: int) -> str:
    """The binary of a process, also where its file was replaced. Raises CannotAttach."""
    try:
        name = os.readlink(f"{pid}/exe", dir_fd=procfs.root())
    except OSError:
        raise CannotAttach(pid, why_not(pid)) from None
    return name.removesuffix(" (deleted)")


def sees_otherwise(pid: int) -> bool:
    """Whether names may mean something else to a process than to this one."""
    roots = (f"{who}/root" for who in (pid, "self"))
    try:
        theirs, own = (os.stat(root, dir_fd=procfs.root()) for root in roots)
        mounts = {_namespace(who, "mnt") for who in (str(pid), "self")}
    except OSError:
        return True
    return len(mounts) > 1 or (theirs.st_dev, theirs.st_ino) != (own.st_dev, own.st_ino)


def check(pid: int) -> None:
    """Raises CannotAttach where a process cannot be supervised, without touching it."""
    if not is_alive(pid):
        raise CannotAttach(pid, "is gone, or there was none")
    fields = _fields(pid)
    tgid = int(fields.get(b"Tgid", b"0"))
    if tgid == os.getpid():
        raise CannotAttach(pid, "is this command itself")
    if tgid != pid:
        raise CannotAttach(pid, f"is a thread: attach its process, {tgid}")
    if _is_ancestor(pid):
        raise CannotAttach(pid, "began this command, which would hold itself up")
    tracer = tracer_of(pid)
    if tracer:
        raise CannotAttach(pid, f"is traced already, by process {tracer}")
    if int(fields.get(b"Seccomp", b"0")):
        raise CannotAttach(
            pid, "is under a seccomp filter, which would judge what is made of its calls"
        )
    program(pid)
    for name in ("pid", "user"):
        if _namespace(str(pid), name) != _namespace("self", name):
            raise CannotAttach(pid, f"is in another {name} namespace: attach it from in there")


def why_not(pid: int) -> str:
    """Why the kernel lets nobody like us trace a task."""
    if not is_alive(pid):
        return "is gone"
    tracer = tracer_of(pid)
    if tracer:
        return f"is traced already, by process {tracer}"
    uid, _ = ids(pid)
    if uid != os.geteuid() and os.geteuid() != 0:
        return f"is user {uid}'s: be that user, or root"
    return "cannot be traced: be root (not dumpable, with capabilities, or kept by Yama)"


def _is_ancestor(pid: int) -> bool:
    found = os.getpid()
    while found > 1:
        found = int(_fields(found).get(b"PPid", b"0"))
        if found == pid:
            return True
    return False


def _namespace(who: str, name: str) -> str:
    with suppress(OSError):
        return os.readlink(f"{who}/ns/{name}", dir_fd=procfs.root())
    return ""


def _fields(pid: int) -> dict[bytes, bytes]:
    try:
        return dict(procfs.status_fields(procfs.read(pid, "status")))
    except OSError:
        return {}

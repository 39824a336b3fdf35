"""Who is at the other end of a supervisor's socket: a person's console, or the target in disguise.

The target may run as the same user, and may come by any name that leads to the socket. But its
tasks cannot shed the filter that they were put under (seccomp(2): filters only stack), nor their
tracer, so the kernel tells them from a console.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress
from pathlib import Path

from enforcer.kernel import procfs
from enforcer.kernel.pidfd import pidfd_open

_CREDENTIALS = struct.Struct("=iII")
_SO_PEERPIDFD = 77
_FIRST_PIDS = 0xEFFFFFFC
"""The first pid namespace's inode (PROC_PID_INIT_INO in include/linux/proc_ns.h)."""


class Stranger(Exception):
    """The other end is not to be talked to; says why."""


def socket_directory() -> Path:
    """Where the sockets of a user's supervisors are: `enforcer` in the user's runtime directory.

    They are named by process numbers, and other pid namespaces give the same ones: each but the
    first has a directory of its own beneath. What is missing is made. Raises PermissionError where
    somebody else could write there.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    place = Path(runtime) / "enforcer" if runtime else Path(f"/tmp/enforcer-{os.geteuid()}")
    _make_private(place)
    numbers = os.stat("self/ns/pid", dir_fd=procfs.root()).st_ino
    if numbers != _FIRST_PIDS:
        place /= str(numbers)
        _make_private(place)
    return place


def _make_private(place: Path) -> None:
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = place.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o170077 != 0o040000:
        raise PermissionError(1, f"{place} must be a directory of yours alone (mode 0700)")


def filters_of(pid: int) -> int:
    """How many seccomp filters a process is under. Raises OSError."""
    fields = procfs.status_fields(procfs.read(pid, "status"))
    return int(fields.get(b"Seccomp_filters", fields[b"Seccomp"]))


def check_client(connection: socket.socket, most_filters: int) -> int:
    """The pid of whoever connected. Raises Stranger for other users, and for targets.

    `most_filters`: tasks of the target are under more filters than these.
    """
    pid, uid, _ = _credentials(connection)
    if uid not in (os.geteuid(), 0):
        raise Stranger("another user's process")
    pidfd = _pidfd(connection, pid)
    try:
        fields = procfs.status_fields(procfs.read(pid, "status"))
        filters = int(fields.get(b"Seccomp_filters", fields[b"Seccomp"]))
        if filters > most_filters or int(fields[b"TracerPid"]) == os.getpid():
            raise Stranger("a process that is confined itself")
        _must_live(pidfd)
    except OSError as error:
        raise Stranger("a process that is gone") from error
    finally:
        os.close(pidfd)
    return pid


def check_server(connection: socket.socket, pid: int) -> None:
    """Raise Stranger unless supervisor `pid` listens, and is under no more filters than we are."""
    found, uid, _ = _credentials(connection)
    if uid not in (os.geteuid(), 0) or found != pid:
        raise Stranger(f"process {found} of user {uid} listens there")
    try:
        if filters_of(pid) > filters_of(os.getpid()):
            raise Stranger(f"process {pid} is confined itself")
    except OSError as error:
        raise Stranger(f"process {pid} is gone") from error


def _credentials(connection: socket.socket) -> tuple[int, int, int]:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    if pid <= 0:
        raise Stranger("a process of another pid namespace")
    return pid, uid, gid


def _pidfd(connection: socket.socket, pid: int) -> int:
    """The peer itself (Linux 6.5), not whoever has its number by now."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4)
        return int(struct.unpack("=i", raw)[0])
    except OSError:
        found = pidfd_open(pid)
        if found < 0:
            raise Stranger("a process that is gone") from None
        return found


def _must_live(pidfd: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if poller.poll(0):
        raise Stranger("a process that is gone")

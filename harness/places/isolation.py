"""The walls around one run: namespaces, private file systems, ids and limits.

Standard library only: this also runs inside guests.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import resource
import signal
import socket
import stat
import struct
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from enforcer.kernel import credentials, namespaces
from harness.model import Limits
from harness.places.clearing import remove
from harness.places.layout import Layout
from harness.process import fork, wait

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
FIRST_UID = 1_900_000_000  # far from every real account; the agent's pid is added


class Isolation(StrEnum):
    """How well a run is walled in; recorded with every result.

    NAMESPACES: root's own (mount, pid, ipc, network), the target under an unused uid.
    USER: the same inside a user namespace. PLAIN: session, limits and scratch directory only.
    """

    NAMESPACES = "namespaces"
    USER = "user namespace"
    PLAIN = "plain"

    @property
    def reachable(self) -> str:
        """What of the laboratory a target can reach, as the end of a sentence; empty: nothing.

        The agent and whatever else knows the number of an answer is not dumpable, so an answer
        cannot be forged; what is named here can be disturbed or changed by a target that tries.
        """
        match self:
            case Isolation.NAMESPACES | Isolation.USER:
                return ""
            case Isolation.PLAIN:
                return (
                    "every process of the same user id (signals; memory and descriptors of the "
                    "harness's first process, which stays open to debuggers), the results' file, "
                    "the laboratory's modules and all other files of that user, and the network "
                    "of this machine"
                )


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The ids of the target."""

    uid: int
    gid: int


def identity(isolation: Isolation) -> Identity:
    """The ids that runs of the calling agent have."""
    if isolation is Isolation.NAMESPACES:
        unused = FIRST_UID + os.getpid()
        return Identity(uid=unused, gid=unused)
    return Identity(uid=os.getuid(), gid=os.getgid())


@functools.cache
def available() -> Isolation:
    """The best isolation that works here, found by building it once in a child."""
    candidates = [Isolation.NAMESPACES] if os.geteuid() == 0 else []
    for candidate in [*candidates, Isolation.USER]:
        if _works(candidate):
            return candidate
    return Isolation.PLAIN


def _works(candidate: Isolation) -> bool:
    def first() -> int:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        enter(candidate)
        return 0 if wait(fork(second)) == 0 else 1

    def second() -> int:
        namespaces.make_tree_private_and_read_only()
        namespaces.mount("proc", Path("/proc"), "proc")
        namespaces.mount("tmpfs", Path("/"), "tmpfs")
        return 0

    return wait(fork(first)) == 0


def enter(isolation: Isolation) -> None:
    """Give the calling process new namespaces; its first child is the init of the new ones.

    The caller is dumpable afterwards. Raises OSError.
    """
    flags = (
        namespaces.CLONE_NEWNS
        | namespaces.CLONE_NEWPID
        | namespaces.CLONE_NEWIPC
        | namespaces.CLONE_NEWNET
    )
    match isolation:
        case Isolation.PLAIN:
            return
        case Isolation.NAMESPACES:
            namespaces.unshare(flags)
        case Isolation.USER:
            uid, gid = os.getuid(), os.getgid()
            # The files in /proc of a process that is not dumpable belong to root (proc(5)).
            namespaces.set_dumpable()
            namespaces.unshare(flags | namespaces.CLONE_NEWUSER)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")


def furnish(
    isolation: Isolation,
    layout: Layout,
    limits: Limits,
    *,
    cover_tmp: bool,
    own: Sequence[Path] = (),
) -> None:
    """Inside the new namespaces: everything read-only, then private file systems on top, in which
    what is the backend's `own` shows all the same. Raises OSError.
    """
    if isolation is Isolation.PLAIN:
        namespaces.adopt_orphans()
        _clear(layout)
        return
    scratch = f"size={limits.scratch_bytes},mode=755"
    namespaces.make_tree_private_and_read_only()
    namespaces.mount("proc", Path("/proc"), "proc", namespaces.MS_NOSUID)
    small = "size=16m,mode=1777"
    is_root = isolation is Isolation.NAMESPACES
    needed = (*needed_paths(), *own) if is_root else own
    _reveal(needed, {Path("/tmp"): small} if cover_tmp else {}, closed_too=is_root)
    namespaces.mount("tmpfs", layout.root, "tmpfs", namespaces.MS_NOSUID, scratch)
    if Path("/dev/shm").is_dir():
        namespaces.mount("tmpfs", Path("/dev/shm"), "tmpfs", namespaces.MS_NOSUID, small)
    # Without a private terminal file system the run goes on with the outer one.
    with contextlib.suppress(OSError):
        namespaces.mount(
            "devpts", Path("/dev/pts"), "devpts", 0, "newinstance,ptmxmode=0666,mode=0620"
        )
    raise_loopback()


def _clear(layout: Layout) -> None:
    """Remove what the run before left, whatever it did to names and modes. Raises OSError."""
    if layout.root.is_symlink():
        layout.root.unlink()
    layout.root.mkdir(mode=0o755, exist_ok=True)
    if not os.access(layout.root, os.R_OK | os.W_OK | os.X_OK):
        layout.root.chmod(0o755)
    for leaving in layout.directories():
        remove(leaving)


@functools.cache
def needed_paths() -> tuple[Path, ...]:
    """What an enforcer in a run reads: the interpreter, its packages and our own modules."""
    roots = {Path(path).resolve() for path in (sys.prefix, sys.base_prefix, *sys.path) if path}
    found = [path for path in roots if path.is_dir()]
    return tuple(sorted(each for each in found if not set(each.parents) & set(found)))


@functools.cache
def tmp_is_free() -> bool:
    """Whether nothing of the laboratory lies in /tmp."""
    paths = (sys.prefix, sys.base_prefix, str(Path(__file__).resolve()))
    return not any(Path(path).is_relative_to("/tmp") for path in paths)


def _reveal(paths: Iterable[Path], covered: Mapping[Path, str], *, closed_too: bool) -> None:
    """Cover directories, with these options, and `closed_too` those that the target's uid may not
    enter (root's home) where any of `paths` lies in them; in either the paths alone show.
    Raises OSError; also where that is the root itself, on which a mount would cover nothing.
    """
    if closed_too and _is_closed(Path("/")):
        raise PermissionError(errno.EACCES, "others may not enter it, so no target could run", "/")
    hidden: dict[Path, list[Path]] = {directory: [] for directory in covered}
    for path in paths:
        for directory in (*reversed(path.parents), path):
            if directory in covered or (closed_too and _is_closed(directory)):
                members = sorted(path.iterdir()) if closed_too and _is_closed(path) else [path]
                hidden.setdefault(directory, []).extend(members)
                break
    for directory, members in hidden.items():
        links = {each: each.readlink() for each in members if each.is_symlink()}
        descriptors = {
            member: os.open(member, os.O_PATH)
            for member in dict.fromkeys(members)
            if member not in links
        }
        options = covered.get(directory, "size=1m,mode=755")
        namespaces.mount("tmpfs", directory, "tmpfs", namespaces.MS_NOSUID, options)
        for link, target in links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        for member, descriptor in descriptors.items():
            member.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                member.mkdir()
            else:
                member.touch()
            source = f"/proc/self/fd/{descriptor}"
            namespaces.mount(source, member, None, namespaces.MS_BIND | namespaces.MS_REC)
            os.close(descriptor)


def _is_closed(path: Path) -> bool:
    """Whether it is a directory that others than its owner and group may not enter."""
    mode = path.stat().st_mode
    return stat.S_ISDIR(mode) and not mode & stat.S_IXOTH


def raise_loopback() -> None:
    """Switch on the loopback device of a new network namespace. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def limit(limits: Limits) -> None:
    """Set the calling process's resource limits."""
    seconds = int(limits.timeout_s) + 1
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes),
        (resource.RLIMIT_NPROC, limits.processes, limits.processes),
        (resource.RLIMIT_CORE, limits.core_bytes, limits.core_bytes),
    ):
        ceiling = resource.getrlimit(kind)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(kind, (soft, hard))


def become(isolation: Isolation, who: Identity, holds: Collection[int] = ()) -> None:
    """Give up every privilege that the agent has, and be dumpable as an ordinary program is; an
    attack that begins with capabilities `holds` them where the agent is root.
    """
    if isolation is Isolation.NAMESPACES:
        credentials.become(who.uid, who.gid, holds)
    else:
        # A container's root keeps its user id; with capabilities it could open any process.
        namespaces.drop_capabilities()
    namespaces.set_dumpable()


def die_with_parent() -> None:
    """The calling process is killed as soon as its parent ends."""
    namespaces.die_with_parent(signal.SIGKILL)

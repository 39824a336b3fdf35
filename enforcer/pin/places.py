"""Where an object lies in its file system, whatever mount it was reached by.

Rules speak of names in the mount namespace that the supervisor began in. Whoever mounts gives
objects other names: in a namespace of his own, or (root) in the common one. So what was reached by
a mount that was not there is judged by the names that its place had when the sandbox began.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from errno import EACCES

from enforcer.kernel import procfs
from enforcer.kernel.file_status import STATX_ATTR_MOUNT_ROOT, status
from enforcer.kernel.memory_file import memfd_secret
from enforcer.kernel.mountinfo import Mount, parse
from enforcer.kernel.openat2 import AT_FDCWD, RESOLVE_NO_SYMLINKS, openat2
from enforcer.kernel.paths import AT_EMPTY_PATH

UNPLACED = "nobody can tell its name: its mount shows no known place, or the name is too long"
"""The reason of a refusal where an object has no name that rules could be asked about."""

MOUNTING = frozenset(
    {
        "fsmount",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "open_tree_attr",
        "pivot_root",
        "umount",
        "umount2",
    }
)
"""Calls after which a name may lead over other mounts."""

_BUILT_ON_OTHERS = frozenset({b"overlay", b"ecryptfs", b"aufs", b"unionfs"})
"""File systems that show the files of others: those that a target mounts are refused."""

_SAME_EVERYWHERE = frozenset({b"proc", b"sysfs"})
"""Instances of these show in part the same objects of the kernel."""

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 16


class Unplaced(OSError):
    """Nobody can tell what an object is called."""

    def __init__(self) -> None:
        super().__init__(EACCES, UNPLACED)


class Places:
    """The mounts of a supervisor's namespace, as they were when this was made, and as they are.

    What was mounted since is seen by a poll of mountinfo, which reports every change to the
    namespace (mounts_poll in fs/proc_namespace.c), also one that was propagated from another.
    """

    def __init__(self) -> None:
        self._mountinfo = os.open(
            "self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=procfs.root()
        )
        self._namespace = os.readlink("self/ns/mnt", dir_fd=procfs.root())
        self._poller = select.poll()
        self._poller.register(self._mountinfo, select.POLLPRI)
        # A change is reported to one poll only (mounts_poll marks it as seen), and a poll object
        # serves one thread: whoever comes meanwhile waits for the mounts that the first one reads.
        self._looking = threading.Lock()
        self._first = self._current = self._read()
        self._by_id = {mount.id: mount for mount in self._first}
        self._memory = _memory_devices()

    def _read(self) -> tuple[Mount, ...]:
        return parse(_all_of(self._mountinfo))

    def are_as_before(self) -> bool:
        """Whether every mount of the supervisor's namespace is where it was at the beginning."""
        with self._looking:
            if self._poller.poll(0):
                self._current = self._read()
                self._by_id = {mount.id: mount for mount in self._current}
            return self._current == self._first

    def are_those_of(self, tid: int) -> bool:
        """Whether a task is in the supervisor's mount namespace."""
        try:
            return os.readlink(f"{tid}/ns/mnt", dir_fd=procfs.root()) == self._namespace
        except OSError:
            return False

    def has_same_root(self, tid: int) -> bool:
        """Whether a task's root is its supervisor's."""
        fd = openat2(procfs.root(), b"%d/root" % tid, os.O_PATH | os.O_CLOEXEC, 0, 0)
        if fd < 0:
            return False
        try:
            theirs, ours = status(fd, b"", AT_EMPTY_PATH), status(AT_FDCWD, b"/", 0)
        finally:
            os.close(fd)
        if isinstance(theirs, int) or isinstance(ours, int):
            return False
        return (theirs.identity, theirs.mnt_id) == (ours.identity, ours.mnt_id)

    def names(self, tid: int, fd: int, seen: bytes) -> tuple[bytes, ...]:
        """What rules are asked about for the object behind `fd`, every one of these.

        `seen` is the kernel's name for it: from the supervisor's root where the mount is in its
        namespace, else from the root of the namespace that the mount is in (prepend_path in
        fs/d_path.c goes up to the last mount). `tid` is who reached it. Raises Unplaced.
        """
        facts = status(fd, b"", AT_EMPTY_PATH)
        if isinstance(facts, int):
            raise Unplaced
        as_before = self.are_as_before()
        mount = self._by_id.get(facts.mnt_id)
        if mount is not None:
            if as_before or mount in self._first:
                return (seen,)
            return self._first_names(mount, _beneath(seen, mount.point))
        if self._had_name(seen, facts.identity) or facts.identity[:2] in self._memory:
            return (seen,)
        for root, mounts in _namespaces(tid):
            for mount in mounts:
                if mount.id == facts.mnt_id:
                    point = root.rstrip(b"/") + mount.point if mount.point != b"/" else root
                    return self._first_names(mount, _beneath(seen, point))
        raise Unplaced

    def _had_name(self, name: bytes, identity: tuple[int, int, int]) -> bool:
        """Whether the supervisor finds this object by a canonical name, over a mount that was
        there at the beginning.

        The mounts of a task that changed its root need not be listed: mountinfo shows what can be
        reached from there (show_mountinfo in fs/proc_namespace.c).
        """
        fd = openat2(AT_FDCWD, name, _LOOK, 0, RESOLVE_NO_SYMLINKS)
        if fd < 0:
            return False
        try:
            facts = status(fd, b"", AT_EMPTY_PATH)
        finally:
            os.close(fd)
        if isinstance(facts, int) or facts.identity != identity:
            return False
        return self._by_id.get(facts.mnt_id) in self._first

    def _first_names(self, mount: Mount, beneath: bytes) -> tuple[bytes, ...]:
        """The names that place `beneath` a mount had at the beginning, if it had any.

        What is mounted may have the number of a device that went (get_anon_bdev in fs/super.c
        gives the lowest that is free): then it has its own name besides.
        """
        place = _joined(mount.root, beneath)
        shown = [each for each in self._first if each.device == mount.device]
        is_there = any(each in self._current for each in shown)
        found = [
            _joined(each.point, place[len(each.root.rstrip(b"/")) :])
            for each in shown
            if _is_in(place, each.root)
        ]
        if found and is_there:
            return tuple(dict.fromkeys(found))
        if is_there or mount.kind in _BUILT_ON_OTHERS:
            raise Unplaced
        # A file system that was not mounted then: nothing in it has an older name.
        named = [_joined(mount.point, beneath), *found]
        if mount.source.startswith(b"/"):
            named.append(mount.source)
        if mount.kind in _SAME_EVERYWHERE:
            named += [_joined(each.point, place) for each in self._first if each.kind == mount.kind]
        return tuple(named)

    def is_shown_twice(self, name: bytes) -> bool:
        """Whether the object of this name, there or not yet, is shown by some other mount too."""
        there = name
        while isinstance(facts := status(AT_FDCWD, there, 0), int) and there != b"/":
            there = there.rpartition(b"/")[0] or b"/"
        mount = None if isinstance(facts, int) else self._by_id.get(facts.mnt_id)
        if mount is None:
            return True
        try:
            place = _joined(mount.root, _beneath(name, mount.point))
        except Unplaced:
            return True
        return any(
            each.device == mount.device and _is_in(place, each.root)
            for each in self._current
            if each.id != mount.id
        )


def has_left_its_mount(fd: int) -> bool:
    """Whether the object called `/` is one that was moved out of what its mount shows.

        supervisor's namespace: /mnt is a bind of /a
        target    open("/mnt/dir") = 3
        somebody  rename("/a/dir", "/b/dir")
        target    openat(3, "file")

    The walk upwards from such a directory never meets the root of its mount, and the kernel prints
    `/` for it (prepend_path in fs/d_path.c drops what it has where __prepend_path answers 3).
    """
    facts, root = status(fd, b"", AT_EMPTY_PATH), status(AT_FDCWD, b"/", 0)
    if isinstance(facts, int) or isinstance(root, int):
        return True
    if (facts.identity, facts.mnt_id) == (root.identity, root.mnt_id):
        return False
    known = facts.attributes_mask & STATX_ATTR_MOUNT_ROOT
    return bool(known and not facts.attributes & STATX_ATTR_MOUNT_ROOT)


def _memory_devices() -> frozenset[tuple[int, int]]:
    """The devices of files that are memory: of memfd_create(2), each page size, memfd_secret(2).

    They lie on mounts of the kernel's own (shm_mnt in mm/shmem.c, hugetlbfs_vfsmount for each
    size in fs/hugetlbfs/inode.c, secretmem_mnt in mm/secretmem.c), which no namespace lists and
    nobody can mount: no file of any other kind is there, and rules see `/memfd:NAME (deleted)`.
    """
    made = [memfd_secret(os.O_CLOEXEC)]
    # MFD_HUGETLB and the logarithm of a size; sizes that a machine lacks are refused (ENODEV).
    for kind in (0, *(os.MFD_HUGETLB | log << os.MFD_HUGE_SHIFT for log in range(64))):
        with suppress(OSError):
            made.append(os.memfd_create("place", os.MFD_CLOEXEC | kind))
    devices = set()
    for fd in made:
        if fd >= 0:
            device = os.fstat(fd).st_dev
            os.close(fd)
            devices.add((os.major(device), os.minor(device)))
    return frozenset(devices)


def _all_of(fd: int) -> bytes:
    pieces = []
    place = 0
    while piece := os.pread(fd, _PIECE, place):
        pieces.append(piece)
        place += len(piece)
    return b"".join(pieces)


def _namespaces(tid: int) -> Iterator[tuple[bytes, Sequence[Mount]]]:
    """Where tasks are rooted and what is mounted there, for each root in each mount namespace.

    First `tid`'s. From a changed root mounts may be hidden (show_mountinfo), which a task with
    another root in the same namespace lists: the deputy that acts there, whose root is the whole.
    """
    known: set[tuple[str, bytes]] = set()
    for number in (tid, *procfs.processes()):
        try:
            namespace = os.readlink(f"{number}/ns/mnt", dir_fd=procfs.root())
            root = os.open(f"{number}/root", os.O_PATH | os.O_CLOEXEC, dir_fd=procfs.root())
            try:
                prefix = os.readlink(b"self/fd/%d" % root, dir_fd=procfs.root())
            finally:
                os.close(root)
            if (namespace, prefix) in known:
                continue
            info = os.open(f"{number}/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=procfs.root())
            try:
                mounts = parse(_all_of(info))
            finally:
                os.close(info)
        except OSError:
            continue
        known.add((namespace, prefix))
        yield prefix, mounts


def _is_in(place: bytes, root: bytes) -> bool:
    return place == root or place.startswith(root.rstrip(b"/") + b"/")


def _beneath(name: bytes, point: bytes) -> bytes:
    """The rest of a name beneath a mount point. Raises Unplaced."""
    if not _is_in(name, point):
        raise Unplaced
    return name[len(point.rstrip(b"/")) :]


def _joined(point: bytes, rest: bytes) -> bytes:
    return point.rstrip(b"/") + b"/" + rest.lstrip(b"/") if rest.strip(b"/") else point

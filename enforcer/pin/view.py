"""How one task sees names, asked from the kernel at every use: nothing of it is mirrored."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EBADF, ENAMETOOLONG, ENOENT
from typing import NamedTuple, Protocol

from enforcer.call import Elevation
from enforcer.kernel import procfs, sysfs
from enforcer.kernel.file_status import status
from enforcer.kernel.openat2 import AT_FDCWD, openat2
from enforcer.kernel.paths import AT_EMPTY_PATH
from enforcer.kernel.process_memory import write_short
from enforcer.pin.deputy import deputies, links_of
from enforcer.pin.domain import Domain
from enforcer.pin.elevation import elevated
from enforcer.pin.identity import Identity, act_as, as_supervisor, is_acting, parse_identity
from enforcer.pin.pidfds import Pidfds, duplicate_of
from enforcer.pin.places import Places, Unplaced, has_left_its_mount
from enforcer.pin.standing import Standing
from enforcer.pin.task_links import namespace_of, number_on, open_own, own_text, setting_namespaces
from enforcer.supervision import memory

O_PATH = os.O_PATH | os.O_CLOEXEC
O_PATH_NOFOLLOW = O_PATH | os.O_NOFOLLOW
O_PATH_DIRECTORY = O_PATH | os.O_DIRECTORY


_FILE_SIZE = b"Max file size "
_NO_LIMIT = (1 << 64) - 1


class TargetGone(Exception):
    """The task has ended, or its call is no longer held: there is nothing to answer."""


class SameObjects(Protocol):
    """What finds other names of an object: enforcer.pin.same_objects, or nothing."""

    def of(self, fd: int) -> tuple[str, ...]:
        """Those of the names that are the object behind `fd` just now."""
        ...


class View:
    """One task as it sees names.

    `tid` is the task that makes the calls, `tgid` its process, both in the supervisor's pid
    namespace. `fixed_root`: nothing in the sandbox can ever change its root or mount namespace, so
    they are the supervisor's. `fixed_credentials`: nothing can change its ids, capabilities or
    user namespace. `validate` is called after /proc/TID was looked at and before anything is
    decided on it; it raises TargetGone when the number may mean another task by now.
    `domain` stands for the task's own Landlock domain. `same_objects` finds hard links of denied
    files, `places` what objects are called that were reached by mounts of later. `tells_missing`:
    judges want to know of a name whether even its directory is missing (the systrace dialect prints
    such names in its own way); without it they are told only where the walk found out by the way.
    `pidfds` keeps those of tasks for a supervisor that makes views anew. `elevation`: a rule has
    what is done just now done with other ids.
    """

    __slots__ = (
        "domain",
        "elevation",
        "fixed_credentials",
        "fixed_root",
        "pidfds",
        "places",
        "same_objects",
        "tells_missing",
        "tgid",
        "tid",
        "validate",
    )

    def __init__(
        self,
        tid: int,
        tgid: int,
        *,
        fixed_root: bool = False,
        fixed_credentials: bool = False,
        validate: Callable[[], None] | None = None,
        same_objects: SameObjects | None = None,
        places: Places | None = None,
        tells_missing: bool = False,
        pidfds: Pidfds | None = None,
    ) -> None:
        self.domain: Domain | None = None
        self.elevation: Elevation | None = None
        self.tid = tid
        self.tgid = tgid
        self.fixed_root = fixed_root
        self.fixed_credentials = fixed_credentials
        self.validate = validate
        self.same_objects = same_objects
        self.places = places
        self.tells_missing = tells_missing
        self.pidfds = pidfds

    @property
    def opens_what_it_judged(self) -> bool:
        """Whether a name is not enough to say what was judged: the very object must be opened."""
        return self.same_objects is not None or (self.places is not None and not self.fixed_root)

    @property
    def has_supervisors_rights(self) -> bool:
        """Whether what is done for the task is surely done with the supervisor's own rights."""
        return self.fixed_credentials and self.domain is None and self.elevation is None

    def is_elsewhere(self) -> bool:
        """Whether an absolute name may lead the task to something else than its supervisor."""
        places = self.places
        if self.fixed_root or places is None:
            return not self.fixed_root
        if not places.are_as_before():
            return True
        return not as_supervisor(
            lambda: places.are_those_of(self.tid) and places.has_same_root(self.tid)
        )

    def root(self) -> int:
        """A descriptor of the task's root (AT_FDCWD: the supervisor's own, with absolute names)."""
        if self.fixed_root:
            return AT_FDCWD
        return self._pin(b"%d/root" % self.tid, AT_FDCWD)

    def directory(self, dirfd: int) -> int:
        """A descriptor of what `dirfd` (AT_FDCWD: the working directory) is, or -EBADF."""
        if dirfd == AT_FDCWD:
            return self._pin(b"%d/cwd" % self.tid, AT_FDCWD)
        if dirfd < 0:
            return -EBADF
        return self._pin(b"%d/fd/%d" % (self.tid, dirfd), dirfd)

    def _pin(self, link: bytes, dirfd: int) -> int:
        if is_acting():
            fd = as_supervisor(lambda: openat2(procfs.root(), link, O_PATH, 0, 0))
        else:
            fd = openat2(procfs.root(), link, O_PATH, 0, 0)
        if self.validate is not None:
            try:
                self.validate()
            except TargetGone:
                release(fd)
                raise
        if fd >= 0:
            return fd
        if fd == -ENOENT and dirfd != AT_FDCWD:
            return -EBADF
        if fd == -ENOENT and not _exists(self.tid):
            raise TargetGone(f"task {self.tid}")
        return fd

    def read_string(self, address: int) -> bytes:
        """A name in the task's memory. Raises UnreadableMemory."""
        return as_supervisor(lambda: memory.read_string(self.tid, address))

    def read_bytes(self, address: int, size: int) -> bytes:
        """A range of the task's memory. Raises UnreadableMemory."""
        return as_supervisor(lambda: memory.read_bytes(self.tid, address, size))

    def write_bytes(self, address: int, data: bytes) -> None:
        """Write a result to the task's memory. Raises UnreadableMemory, TargetGone."""
        if self.validate is not None:
            self.validate()
        if is_acting():
            as_supervisor(lambda: memory.write_bytes(self.tid, address, data))
        elif not write_short(self.tid, address, data):
            memory.write_bytes(self.tid, address, data)

    def duplicate(self, descriptor: int) -> int:
        """A close-on-exec duplicate of the task's descriptor, or -errno."""
        if is_acting():
            return as_supervisor(lambda: duplicate_of(self, descriptor))
        return duplicate_of(self, descriptor)

    def has_other_settings(self) -> bool:
        """Whether a setting of the system is another one for the task than for who acts for it.

        True as well where its namespaces cannot be seen. A deputy has joined all that matter.
        """
        identity = self.identity()
        if identity is not None and is_elsewhere(identity, own_identity()):
            return False
        return as_supervisor(lambda: setting_namespaces(self.tid)) != setting_namespaces(
            os.getpid()
        )

    def has_other_numbers(self) -> bool:
        """Whether the task has another pid namespace than its supervisor, or it cannot be seen."""
        theirs = as_supervisor(lambda: namespace_of(self.tid, "pid"))
        return not theirs or theirs != namespace_of(os.getpid(), "pid")

    def told_hidden(self, fd: int, writes: bool) -> bool | None:
        """What the supervisor says to ourselves.hides; None where that is who asks."""
        return None

    def told_names(self, fd: int) -> Names | None:
        """What the supervisor says to names_in; None where that is who asks."""
        return None

    def open_own(
        self, directory: int, leaf: bytes, flags: int = O_PATH, resolve: int = 0
    ) -> int | None:
        """What `leaf` in a directory of the task's own process is, or leads to; or -errno.

        The task always may follow its magic links and search its table of descriptors
        (same_thread_group in __ptrace_may_access and proc_fd_permission), and whoever acts for it
        is another process to the kernel. None: the directory is another process's, or a Landlock
        domain has a say in it.
        """
        if self.domain is not None and not flags & os.O_PATH:
            return None
        return as_supervisor(lambda: open_own(directory, leaf, self.tgid, self.tid, flags, resolve))

    def own_text(self, directory: int, leaf: bytes) -> bytes | int | None:
        """The text of the link `leaf` in a directory of the task's own process, as open_own."""
        return as_supervisor(lambda: own_text(directory, leaf, self.tgid, self.tid))

    def number_on(self, procfs_root: int) -> tuple[int, int] | None:
        """The process and thread number of the task in the procfs with this root directory.

        None where it has none there, or none that the supervisor could tell for sure. Numbers are a
        pid namespace's own, and a procfs shows those of one (proc_self_get_link in fs/proc/self.c).
        Raises TargetGone.
        """
        fields = procfs.status_fields(self.status_text())
        processes, threads = fields[b"NStgid"].split(), fields[b"NSpid"].split()
        return as_supervisor(lambda: number_on(procfs_root, self.tid, processes, threads))

    def umask(self) -> int:
        """The task's file mode creation mask."""
        # task_state in fs/proc/array.c prints it right behind the name.
        line = self.status_text().split(b"\n", 2)[1]
        key, _, value = line.partition(b":")
        return int(value if key == b"Umask" else self.status_field(b"Umask"), 8)

    def file_size_limit(self) -> int:
        """The size in bytes that no file may grow beyond by the task's doing.

        From /proc/TID/limits, which everybody may read: prlimit(2) asks for the task's own ids, or
        CAP_SYS_RESOURCE. Raises TargetGone.
        """
        line = next(
            line for line in self._text("limits").split(b"\n") if line.startswith(_FILE_SIZE)
        )
        soft = line[len(_FILE_SIZE) :].split()[0]
        return _NO_LIMIT if soft == b"unlimited" else int(soft)

    def began(self) -> int:
        """When the task began, in clock ticks since the machine did. Raises TargetGone."""
        return int(procfs.stat_fields(self._text("stat"))[19])

    def terminal(self) -> tuple[bytes, tuple[int, int]] | None:
        """The task's controlling terminal: the likely name of its device and its number.

        None without one. Raises TargetGone.
        """
        device = int(procfs.stat_fields(self._text("stat"))[4])
        if device == 0:
            return None
        major, minor = os.major(device), os.minor(device)
        if 136 <= major <= 143:  # the Unix98 pseudo-terminals
            return b"/dev/pts/%d" % ((major - 136) * 256 + minor), (major, minor)
        name = as_supervisor(lambda: sysfs.device_name(False, major, minor))
        return None if name is None else (b"/dev/" + name, (major, minor))

    def status_field(self, key: bytes) -> bytes:
        """One line of /proc/TID/status, without its key. Raises TargetGone."""
        return procfs.status_fields(self.status_text())[key]

    def status_text(self) -> bytes:
        """All of /proc/TID/status. Raises TargetGone."""
        return self._text("status")

    def identity(self) -> Identity | None:
        """Who acts are done as, where that is not the supervisor itself; None where it is.

        The task, as `elevation` changes it. Raises TargetGone, OutOfReach.
        """
        if self.elevation is not None:
            who = elevated(self.standing().identity, self.elevation, own_identity())
            return None if who == own_identity() else who
        if self.fixed_credentials:
            return None
        standing = self.standing()
        return None if standing.is_own else standing.identity

    def standing(self) -> Standing:
        """Who the task is. Raises TargetGone."""
        return self.ask_standing()

    def ask_standing(self) -> Standing:
        """The same, asked from the kernel just now."""
        namespace = as_supervisor(lambda: namespace_of(self.tid, "user"))
        others = own_identity().others
        if not self.fixed_root:
            others = as_supervisor(lambda: links_of(self.tid))
        fields = procfs.status_fields(self.status_text())
        identity = parse_identity(fields, namespace, others)
        return Standing(int(fields[b"Tgid"]), identity, identity == own_identity())

    def _text(self, name: str) -> bytes:
        try:
            text = as_supervisor(lambda: procfs.read(self.tid, name))
        except OSError as error:
            raise TargetGone(f"task {self.tid}") from error
        if self.validate is not None:
            self.validate()
        return text


def as_caller(
    view: View, act: Callable[[], int], *, asks_real: bool = False, is_bound: bool = True
) -> int:
    """What `act` returns, done with the task's rights.

    `asks_real`: by its real ids, as access(2). `is_bound`: it is something that a Landlock domain
    may forbid. Within an act this is the act itself. A task of other namespaces has a deputy: what
    of the act needs its rights goes by remote.carry_out. Raises OutOfReach.
    """
    if is_acting():
        return act()
    identity = view.identity()
    domain = view.domain if is_bound else None

    def body() -> int:
        if identity is None:
            return act()
        who, own = identity.real() if asks_real else identity, own_identity()
        if is_elsewhere(who, own):
            return deputies.act(view.tid, who, own, act, is_real=asks_real, domain=domain)
        return act_as(who, own, act)

    return body() if domain is None else domain.run(body)


def own_identity() -> Identity:
    """Who the supervisor is; asked once a process."""
    pid = os.getpid()
    if _own and _own[-1][0] == pid:
        return _own[-1][1]
    fields = procfs.status_fields(procfs.read(pid, "status"))
    own = parse_identity(fields, namespace_of(pid, "user"), links_of(pid))
    _own[:] = [(pid, own)]
    return own


_own: list[tuple[int, Identity]] = []


def is_elsewhere(who: Identity, own: Identity) -> bool:
    """Whether a task is in other namespaces than its supervisor, as far as they matter to acts."""
    return (who.namespace, who.others) != (own.namespace, own.others)


def release(*fds: int) -> None:
    """Close those of `fds` that are descriptors."""
    for fd in fds:
        if fd >= 0:
            os.close(fd)


def name_of(fd: int) -> bytes:
    """The kernel's name for the object behind `fd`, from the supervisor's root.

    Raises Unplaced where the kernel cannot print it (do_proc_readlink has PATH_MAX bytes).
    """
    try:
        return os.readlink(b"%d" % fd, dir_fd=procfs.descriptors())
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            raise Unplaced from error
        raise


def through(fd: int) -> bytes:
    """A name that leads to the very object behind `fd`, for calls that only take names."""
    return procfs.path_of(fd)


def own(fd: int) -> tuple[int, bytes]:
    """The same for calls that take a name relative to a directory: that, and the name."""
    return procfs.root(), b"self/fd/%d" % fd


UNREACHABLE = b"(unreachable)"


class Names(NamedTuple):
    """What one object is called: `judged` by rules, every one of these, and `seen` by the task."""

    judged: tuple[bytes, ...]
    seen: bytes

    def with_leaf(self, leaf: bytes) -> Names:
        """The names of what `leaf` (its slashes at the end left out) is in this directory."""
        return self.changed(lambda name: _entry_name(name, leaf.rstrip(b"/")))

    def changed(self, change: Callable[[bytes], bytes]) -> Names:
        """The names with the same change made to each."""
        return Names(tuple(map(change, self.judged)), change(self.seen))


def _entry_name(directory: bytes, leaf: bytes) -> bytes:
    if leaf == b".":
        return directory
    if leaf == b"..":
        return directory.rpartition(b"/")[0] or b"/"
    return (b"" if directory == b"/" else directory) + b"/" + leaf


def names_in(view: View, fd: int) -> Names:
    """What the object behind `fd` is called. Raises OSError as name_of, and Unplaced.

    Rules are asked about the name that its place had when the sandbox began, and where the task has
    another root also about the name from there: a chroot neither frees anything from a rule, nor
    from one that speaks of names as they are seen inside.
    """
    told = view.told_names(fd)
    if told is not None:
        return told
    name = name_of(fd)
    if name == b"/" and has_left_its_mount(fd):
        raise Unplaced
    if view.fixed_root or name[:1] != b"/":
        return Names((name,), name)
    judged: tuple[bytes, ...] = (name,)
    places = view.places
    if places is not None:
        judged = as_supervisor(lambda: places.names(view.tid, fd, name))
    seen = strip_root(view, name)
    if seen == name or seen.startswith(UNREACHABLE):
        return Names(judged, name)
    return Names((*judged, seen), seen)


def strip_root(view: View, name: bytes) -> bytes:
    """An absolute name from the supervisor's root, as seen from the task's root.

    What lies outside that root gets the prefix `(unreachable)`, as in getcwd(2). Raises OSError.
    """
    if view.fixed_root:
        return name
    root = view.root()
    if root < 0:
        raise OSError(-root, os.strerror(-root))
    try:
        prefix = name_of(root)
    finally:
        os.close(root)
    if prefix == b"/":
        return name
    if name == prefix:
        return b"/"
    if name.startswith(prefix + b"/"):
        return name[len(prefix) :]
    return UNREACHABLE + name


def is_same(first: int, second: int) -> bool:
    """Whether two descriptors are one object reached through one mount."""
    one = status(first, b"", AT_EMPTY_PATH)
    other = status(second, b"", AT_EMPTY_PATH)
    if isinstance(one, int) or isinstance(other, int):
        return False
    return (one.identity, one.mnt_id) == (other.identity, other.mnt_id)


def _exists(tid: int) -> bool:
    fd = openat2(procfs.root(), b"%d" % tid, O_PATH, 0, 0)
    release(fd)
    return fd >= 0

"""From a name to an object: walked by the kernel as far as it can, step by step beyond that.

The kernel walks for the supervisor, so what depends on who walks is left to the steps: magic links,
`self` and `thread-self` of procfs, and absolute links below a root that is not the supervisor's.
"""

from __future__ import annotations

import os
import stat
from errno import EACCES, EBADF, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from fcntl import F_GETFL, fcntl

from enforcer.kernel.file_status import (
    PROC_SUPER_MAGIC,
    ST_NOSYMFOLLOW,
    file_system,
    on_procfs,
    status,
)
from enforcer.kernel.openat2 import (
    AT_FDCWD,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    openat2,
)
from enforcer.kernel.paths import AT_EMPTY_PATH, readlinkat
from enforcer.pin.channel import Answer, Deputed
from enforcer.pin.identity import is_acting
from enforcer.pin.lexical import lexical
from enforcer.pin.ourselves import hides, is_own_link, open_own_table, own_text
from enforcer.pin.pinned import Pinned
from enforcer.pin.places import Unplaced
from enforcer.pin.protected_links import is_protected
from enforcer.pin.remote import Facts, RemoteView, carry_out, is_deputed, permit
from enforcer.pin.view import (
    O_PATH,
    O_PATH_DIRECTORY,
    O_PATH_NOFOLLOW,
    Names,
    View,
    as_caller,
    is_same,
    names_in,
    release,
)

MOST_LINKS = 40
PATH_MAX = 4096
_SLASH = ord("/")


class _Stopped(Exception):
    """The walk of the directories ended early: at directory `fd`, with `rest` still to go."""

    def __init__(self, errno: int, fd: int = -1, rest: tuple[bytes, ...] = ()) -> None:
        self.errno = errno
        self.fd = fd
        self.rest = rest
        super().__init__(errno)


def resolve(
    view: View,
    dirfd: int,
    name: bytes,
    *,
    follow: bool = True,
    entry: bool = False,
    empty: bool = False,
    magic: bool = True,
    creates: bool = True,
) -> Pinned:
    """Resolve `name` as task `view` would. Never raises for a name that fails: see Pinned.errno.

    `follow`: a symbolic link at the end is followed. `entry`: the call acts on the directory
    entry (unlink, rename, mkdir...): the end is not looked at, trailing slashes stay on the leaf.
    `empty`: an empty name means the descriptor itself (AT_EMPTY_PATH). `magic`: magic links are
    followed. `creates`: where the name leads to nothing, the caller may want to make something
    there, and needs to know the directory. Raises TargetGone.
    """
    if is_deputed():
        return _by_deputy(view, (dirfd, name, follow, entry, empty, magic, creates))
    if not name:
        fd = view.directory(dirfd) if empty else -ENOENT
        return _of_descriptor(view, fd)
    if len(name) >= PATH_MAX:
        return Pinned(name=b"", errno=ENAMETOOLONG)
    base = AT_FDCWD
    if name[0] != _SLASH:
        base = view.directory(dirfd)
        if base < 0:
            return Pinned(name=b"", errno=-base)
    if not entry:
        flags = O_PATH if follow else O_PATH_NOFOLLOW
        pinned = _plain(view, base, name, flags, creates or view.tells_missing)
        if pinned is not None:
            release(base)
            return pinned
    walk = _Walk(view, magic)
    try:
        return walk.to_end(base, name, follow, entry)
    except _Stopped as stop:
        return _stopped(view, name, stop, walk.leaf)


def resolve_as_caller(
    view: View,
    dirfd: int,
    name: bytes,
    *,
    follow: bool = True,
    entry: bool = False,
    empty: bool = False,
) -> Pinned:
    """`resolve`, with the rights of the task. Raises TargetGone, OutOfReach."""
    found: list[Pinned] = []

    def act() -> int:
        found.append(resolve(view, dirfd, name, follow=follow, entry=entry, empty=empty))
        return 0

    as_caller(view, act, is_bound=False)  # a Landlock domain binds nobody who only looks
    return found[0]


def _by_deputy(view: View, asked: tuple[int, bytes, bool, bool, bool, bool, bool]) -> Pinned:
    value, given = carry_out(_resolve_there, view, permit, *asked)
    assert isinstance(value, tuple)
    judged, seen, errno, leaf, missing, magic, unnamed, unplaced, exists = value
    parents = given[1:] if exists else given
    return Pinned(
        name=Names(judged, seen),
        fd=given[0] if exists else -1,
        parent=parents[0] if parents else -1,
        leaf=leaf,
        errno=errno,
        missing=missing,
        magic=magic,
        unnamed=unnamed,
        unplaced=unplaced,
    )


def _resolve_there(
    deputed: Deputed,
    facts: Facts,
    dirfd: int,
    name: bytes,
    follow: bool,
    entry: bool,
    empty: bool,
    magic: bool,
    creates: bool,
) -> Answer:
    pinned = resolve(
        RemoteView(deputed, facts),
        dirfd,
        name,
        follow=follow,
        entry=entry,
        empty=empty,
        magic=magic,
        creates=creates,
    )
    given = tuple(fd for fd in (pinned.fd, pinned.parent) if fd >= 0)
    pinned.fd = pinned.parent = -1  # they are closed by who sends them
    judged = tuple(map(os.fsencode, (pinned.name, *pinned.others)))
    how = pinned.missing, pinned.magic, pinned.unnamed, pinned.unplaced, pinned.exists
    return (judged, pinned.seen, pinned.errno, pinned.leaf, *how), given


def _plain(view: View, base: int, name: bytes, flags: int, wants_place: bool) -> Pinned | None:
    """The object, where the name is canonical already; or that there is none.

    RESOLVE_NO_SYMLINKS fails at the first link (ELOOP, pick_link in fs/namei.c), so ENOENT says
    that no link led to what is missing: the name is what any other way would have come to.
    """
    clean = lexical(name)
    if clean is None or (base < 0 and not view.fixed_root):
        return None
    fd = openat2(base, clean, flags, 0, RESOLVE_NO_SYMLINKS)
    if fd < 0 and (fd != -ENOENT or wants_place):
        return None
    errno = max(-fd, 0)
    fd = max(fd, -1)
    if base < 0:
        return Pinned(name=clean, fd=fd, errno=errno)
    try:
        names = _names_below(view, base, clean, fd)
    except OSError:
        release(fd)
        return None
    return Pinned(name=names, fd=fd, errno=errno)


def _names_below(view: View, directory: int, leaf: bytes, fd: int) -> Names:
    """The names of `leaf`, which is the object `fd` if that is one. Raises OSError.

    By those of the directory, which a name that vanishes meanwhile keeps; not so where something is
    mounted in between, which may have been somewhere else before.
    """
    if fd >= 0 and not view.fixed_root and not _is_one_mount(directory, fd):
        return names_in(view, fd)
    return names_in(view, directory).with_leaf(leaf)


def _is_one_mount(directory: int, fd: int) -> bool:
    here, there = (status(each, b"", AT_EMPTY_PATH) for each in (directory, fd))
    return not isinstance(here, int) and not isinstance(there, int) and here.mnt_id == there.mnt_id


def _nameless(error: OSError) -> Pinned:
    """What has no name that the kernel can print, or that rules could be asked about."""
    is_unplaced = isinstance(error, Unplaced)
    return Pinned(name=b"", errno=error.errno or EACCES, unplaced=is_unplaced)


def _of_descriptor(view: View, fd: int) -> Pinned:
    if fd < 0:
        return Pinned(name=b"", errno=-fd)
    try:
        return Pinned(name=names_in(view, fd), fd=fd, magic=True, unnamed=True)
    except OSError as error:
        release(fd)
        return _nameless(error)


def resolve_open_file(view: View, descriptor: int) -> Pinned:
    """What a task's descriptor is open on, for calls that take it (fget): not if by O_PATH.

    Pinned is a duplicate: what another thread puts under that number meanwhile is nobody's
    business. Raises TargetGone.
    """
    fd = view.duplicate(descriptor) if descriptor >= 0 else -EBADF
    if fd >= 0 and fcntl(fd, F_GETFL) & os.O_PATH:
        release(fd)
        fd = -EBADF
    return _of_descriptor(view, fd)


def _stopped(view: View, name: bytes, stop: _Stopped, leaf: bytes) -> Pinned:
    """What is to be judged of a name whose directories could not be walked."""
    if stop.fd < 0:
        return Pinned(name=name, errno=stop.errno, missing=True)
    try:
        reached = names_in(view, stop.fd)
    except Unplaced as error:
        return _nameless(error)
    except OSError as error:
        return Pinned(name=name, errno=error.errno or EACCES, missing=True)
    finally:
        release(stop.fd)
    full = reached.changed(lambda directory: lexically(directory, b"/".join((*stop.rest, leaf))))
    return Pinned(name=full, errno=stop.errno, missing=True)


def lexically(directory: bytes, missing: bytes) -> bytes:
    """The name of `missing`, of which nothing is there, from `directory`, which is."""
    rest: list[bytes] = []
    for part in missing.split(b"/"):
        if part == b"..":
            if rest:
                rest.pop()
            else:
                directory = directory.rpartition(b"/")[0]
        elif part not in (b"", b"."):
            rest.append(part)
    return b"/".join((directory.rstrip(b"/"), *rest)) or b"/"


class _Walk:
    """One name being walked: the symbolic links followed, the entry still to be looked at."""

    __slots__ = ("leaf", "links", "magic", "view")

    def __init__(self, view: View, magic: bool) -> None:
        self.view = view
        self.magic = magic
        self.links = 0
        self.leaf = b""

    def to_end(self, base: int, name: bytes, follow: bool, entry: bool) -> Pinned:
        """Resolve `name` from descriptor `base` (owned; AT_FDCWD with absolute names)."""
        while True:
            bare = name.rstrip(b"/")
            head, slash, leaf = bare.rpartition(b"/")
            self.leaf = leaf
            parent = self.directory(base, head + slash if bare else b"/")
            self.leaf = b""
            if not leaf:
                return self._object(parent)
            if entry:
                return self._entry(parent, name[len(head) + len(slash) :])
            if leaf in (b".", b".."):
                return self._object(self._step_directory(parent, leaf))
            trailing = len(bare) != len(name)
            last = leaf + b"/" if trailing else leaf
            fd = self._at(parent, last, O_PATH)
            if fd == -ELOOP:
                if not follow and not trailing:
                    fd = self._at(parent, leaf, O_PATH_NOFOLLOW)
                else:
                    text, magic = self._link(parent, leaf)
                    if text is None:
                        release(parent)
                        if trailing and not _is_directory(magic):
                            raise _Stopped(ENOTDIR, magic)
                        return self._object(magic, magic=True)
                    name = text + b"/" if trailing else text
                    base = self._after_link(parent, name)
                    continue
            return self._found(parent, last, fd)

    def _found(self, parent: int, leaf: bytes, fd: int) -> Pinned:
        try:
            name = _names_below(self.view, parent, leaf, fd)
        except Unplaced as error:
            release(parent, fd)
            return _nameless(error)
        except OSError as error:
            release(parent, fd)
            return Pinned(name=leaf, errno=error.errno or EACCES)
        return Pinned(name=name, fd=max(fd, -1), parent=parent, leaf=leaf, errno=max(-fd, 0))

    def _entry(self, parent: int, leaf: bytes) -> Pinned:
        try:
            name = names_in(self.view, parent).with_leaf(leaf)
        except Unplaced as error:
            release(parent)
            return _nameless(error)
        except OSError as error:
            release(parent)
            return Pinned(name=leaf, errno=error.errno or EACCES)
        return Pinned(name=name, parent=parent, leaf=leaf)

    def _object(self, fd: int, *, magic: bool = False) -> Pinned:
        try:
            return Pinned(name=names_in(self.view, fd), fd=fd, magic=magic)
        except OSError as error:
            release(fd)
            return _nameless(error)

    def directory(self, base: int, head: bytes) -> int:
        """A descriptor of directory `head`, which is empty or ends in a slash; consumes `base`.

        Raises _Stopped.
        """
        if not head:
            return base
        view = self.view
        start = base
        if head[0] == _SLASH and not view.fixed_root:
            release(base)
            start = base = view.root()
            if base < 0:
                raise _Stopped(-base)
        walked = head if view.fixed_root else head.lstrip(b"/") or b"."
        scope = RESOLVE_IN_ROOT if head[0] == _SLASH and not view.fixed_root else 0
        by_kernel = view.fixed_root or scope or b".." not in head
        fd = -ELOOP
        if by_kernel:
            fd = openat2(start, walked, O_PATH_DIRECTORY, 0, RESOLVE_NO_SYMLINKS | scope)
            if fd == -ELOOP and (view.fixed_root or scope):
                fd = openat2(start, walked, O_PATH_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS | scope)
                if fd >= 0 and on_procfs(fd):
                    release(fd)
                    fd = -ELOOP
        if fd >= 0:
            release(base)
            return fd
        return self._steps(base, head)

    def _steps(self, base: int, head: bytes) -> int:
        """Walk `head` one component after the other; consumes `base`."""
        at = base
        if head[0] == _SLASH:
            release(base)
            at = self._root()
        todo = [part for part in reversed(head.split(b"/")) if part not in (b"", b".")]
        while todo:
            part = todo.pop()
            if part == b"..":
                at = self._step_directory(at, part, tuple(reversed(todo)))
                continue
            fd = self._at(at, part, O_PATH_DIRECTORY)
            if fd >= 0:
                release(at)
                at = fd
                continue
            if fd != -ELOOP:
                raise _Stopped(-fd, at, (part, *reversed(todo)))
            text, magic = self._link(at, part, tuple(reversed(todo)))
            if text is None:
                release(at)
                at = magic
                if todo and not _is_directory(at):
                    raise _Stopped(ENOTDIR, at, tuple(reversed(todo)))
                continue
            at = self._after_link(at, text)
            if at < 0:
                at = self._root()
            todo += [step for step in reversed(text.split(b"/")) if step not in (b"", b".")]
        if not _is_directory(at):
            raise _Stopped(ENOTDIR, at)
        return at

    def _at(self, at: int, leaf: bytes, flags: int) -> int:
        """The entry `leaf` of directory `at`, or -ELOOP where it is a link that is followed."""
        fd = openat2(at, leaf, flags, 0, RESOLVE_NO_SYMLINKS)
        return open_own_table(self.view, at, leaf, flags) if fd == -EACCES else fd

    def _root(self) -> int:
        """A descriptor of the task's root."""
        view = self.view
        fd = openat2(AT_FDCWD, b"/", O_PATH, 0, 0) if view.fixed_root else view.root()
        if fd < 0:
            raise _Stopped(-fd)
        return fd

    def _step_directory(self, at: int, part: bytes, rest: tuple[bytes, ...] = ()) -> int:
        """From directory `at` (consumed) to its `.` or `..`, never above the task's root."""
        if part == b".." and not self.view.fixed_root:
            root = self._root()
            try:
                if is_same(at, root):
                    return at
            finally:
                release(root)
        fd = openat2(at, part, O_PATH_DIRECTORY, 0, RESOLVE_NO_SYMLINKS)
        if fd < 0:
            raise _Stopped(-fd, at, (part, *rest))
        release(at)
        return fd

    def _after_link(self, at: int, text: bytes) -> int:
        """Where a link's text starts: `at` itself, or (consuming it) AT_FDCWD when absolute."""
        if text[:1] != b"/":
            return at
        release(at)
        return AT_FDCWD

    def _link(self, at: int, leaf: bytes, rest: tuple[bytes, ...] = ()) -> tuple[bytes | None, int]:
        """The text of the link `leaf` in `at`, or None and what the magic link leads to."""
        self.links += 1
        if self.links > MOST_LINKS:
            raise _Stopped(ELOOP, at, (leaf, *rest))
        link = self._at(at, leaf, O_PATH_NOFOLLOW)
        if link < 0:
            raise _Stopped(-link, at, (leaf, *rest))
        try:
            facts = file_system(link)
            if isinstance(facts, int):
                raise _Stopped(-facts, at, (leaf, *rest))
            if facts.f_type == PROC_SUPER_MAGIC and self.magic and is_acting():
                found = self.view.open_own(at, leaf)
                if found is not None and found < 0:
                    raise _Stopped(-found, at, (leaf, *rest))
                if found is not None:
                    return None, found
            is_own = facts.f_type == PROC_SUPER_MAGIC and is_own_link(at, leaf)
            text = own_text(self.view, at, leaf) if is_own else readlinkat(link, b"")
            if facts.f_flags & ST_NOSYMFOLLOW:
                raise _Stopped(ELOOP, at, (leaf, *rest))
            if isinstance(text, int):
                # The entry became something else meanwhile: as if it had always been that.
                raise _Stopped(-text, at, (leaf, *rest))
            if is_protected(at, link) or hides(self.view, link):
                raise _Stopped(EACCES, at, (leaf, *rest))
        finally:
            release(link)
        if is_own:
            return text, -1
        if facts.f_type == PROC_SUPER_MAGIC:
            probe = openat2(at, leaf, O_PATH, 0, RESOLVE_NO_MAGICLINKS)
            release(probe)
            if probe == -ELOOP:
                fd = openat2(at, leaf, O_PATH, 0, 0) if self.magic else probe
                if fd < 0:
                    raise _Stopped(-fd, at, (leaf, *rest))
                return None, fd
        if not text:
            raise _Stopped(ENOENT, at, (leaf, *rest))
        return text, -1


def _is_directory(fd: int) -> bool:
    facts = status(fd, b"", AT_EMPTY_PATH)
    return not isinstance(facts, int) and stat.S_ISDIR(facts.mode)

"""Calls on one name in the usual case: the kernel walks it for the task, which has our rights.

It does what `perform` does, in the fewest steps: the kernel shows that the name is canonical, or
what its links lead to, or that nothing is there; that name is judged; and what was reached is acted
on. Whatever is odd (magic links, another root, other ids...) is left to the thorough way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from errno import EINVAL, EISDIR, ELOOP, ENOENT, ENOSYS

from enforcer.arch import ABIS
from enforcer.kernel.file_status import native_stat, on_procfs, statx_bytes
from enforcer.kernel.openat2 import (
    AT_FDCWD,
    RESOLVE_CACHED,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    openat2,
)
from enforcer.kernel.paths import (
    AT_EMPTY_PATH,
    AT_REMOVEDIR,
    AT_SYMLINK_NOFOLLOW,
    faccessat2,
    mkdirat,
    readlinkat,
    unlinkat,
)
from enforcer.kernel.raw import NATIVE_ABI
from enforcer.pin.caller import take_umask
from enforcer.pin.identity import is_acting
from enforcer.pin.layouts import stat_size
from enforcer.pin.lexical import lexical
from enforcer.pin.opening import Judge
from enforcer.pin.places import has_left_its_mount
from enforcer.pin.view import O_PATH, O_PATH_DIRECTORY, O_PATH_NOFOLLOW, View, name_of, release
from enforcer.supervision.memory import UnreadableMemory
from enforcer.syscalls import number

_SLASH = ord("/")
_INT = 0xFFFF_FFFF
_MOST_NAME = 4096
_AT_NO_AUTOMOUNT = 0x800
_AT_STATX_DONT_SYNC = 0x4000
_STATX_RESERVED = 0x8000_0000
_ACCESS_MODES = 7
_MODE = 0xFFFF
_DELETED = b" (deleted)"
_IN_CACHE = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS
_NO_LINK: Mapping[int, int] = {-EISDIR: -EINVAL, -ENOENT: -ENOENT}
"""What readlink says of what an open for writing fails with."""


_MOST_LINKS = 4096


class _Links(set[bytes]):
    """Names that were links when last read, and whether what was read last was one.

    Links are read in a row (find, ls -l), as are directories (realpath). What may have changed
    since is only in which order the kernel is asked.
    """

    was_last = False


_links = _Links()

_Act = Callable[[View, int, bytes, Sequence[int]], "int | None"]

Refusal = Callable[[bytes], int]
"""The policy's word on a call with this canonical name, of which nothing is missing: 0 or an errno.
"""


@dataclass(frozen=True, slots=True)
class Glance:
    """How one call acts. `name`, `dirfd` and `flags` are registers, -1 where it has none.

    `known` are the flags with which it does nothing else, `never`: it follows no link at the end.
    `fits` says of the registers that they are nothing odd. `act` gets the task's view, what was
    reached (O_PATH) and the registers, and gives the result; None: odd after all. `changes`: it
    acts on the entry of a directory, which is what it gets, with the entry's name.
    `reads_links`: of what is no link it only says so.
    """

    act: Callable[[View, int, bytes, Sequence[int]], int | None]
    fits: Callable[[Sequence[int]], bool]
    name: int = 0
    dirfd: int = -1
    flags: int = -1
    known: int = 0
    never: bool = False
    changes: bool = False
    reads_links: bool = False


def by_text(judge: Judge) -> Refusal:
    """What a judge of texts says of a name."""
    return lambda name: judge((os.fsdecode(name),), 0)


def glance(
    how: Glance, view: View, args: Sequence[int], name: bytes, refusal: Refusal
) -> int | None:
    """The call's result or -errno; None: nothing was done. Raises TargetGone.

    A Landlock domain of the task's own forbids none of these but those that change an entry.
    """
    clean, prefix = lexical(name), b""
    if clean is None and not how.changes and not how.reads_links:
        prefix, clean = _split(name)
    if clean is None or len(name) >= _MOST_NAME or not how.fits(args):
        return None
    flags = args[how.flags] & _INT if how.flags >= 0 else 0
    if flags & ~how.known or not view.fixed_root or is_acting() or view.identity() is not None:
        return None
    if clean[:1] == b"/":
        return _from(how, view, args, AT_FDCWD, clean, clean, refusal)
    base = _directory(how, view, args, prefix)
    if base < 0:
        return None
    try:
        directory = name_of(base)
        if directory == b"/" and has_left_its_mount(base):
            return None
    except OSError:
        os.close(base)
        return None
    try:
        if not clean:
            return _reached(how, view, args, base, b"", directory, refusal)
        full = (b"" if directory == b"/" else directory) + b"/" + clean
        return _from(how, view, args, base, clean, full, refusal)
    finally:
        os.close(base)


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """A name as a directory and what lies beneath, with nothing in it that a link could make wrong.

    Empty where the directory itself is meant; None where it cannot be split so.
    """
    head, dots, rest = name.rpartition(b"/../")
    clean = lexical(rest) if dots and rest[:1] != b"/" else None
    if clean is not None:
        return head + b"/..", clean
    is_directory = name.endswith((b"/", b"/.", b"/..")) or name in (b".", b"..")
    return name, b"" if is_directory else None


def _directory(how: Glance, view: View, args: Sequence[int], prefix: bytes) -> int:
    """A descriptor of the directory that `prefix`, or without one `dirfd`, leads to; or -errno.

    The kernel walks it as for the task, but on a procfs, where links lead to whoever walks.
    """
    if prefix[:1] == b"/":
        found = openat2(AT_FDCWD, prefix, O_PATH_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS)
    else:
        start = view.directory(_dirfd(how, args))
        if start < 0 or not prefix:
            return start
        found = openat2(start, prefix, O_PATH_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS)
        os.close(start)
    if found >= 0 and on_procfs(found):
        os.close(found)
        return -ELOOP
    return found


def glance_at_descriptor(view: View, abi: str, call: str, args: Sequence[int]) -> int | None:
    """newfstatat or statx with an empty name, which asks for no right; None as `glance`."""
    how = GLANCES.get(call) if abi == NATIVE_ABI else None
    if how is None or not how.fits(args) or args[how.flags] & _INT & ~how.known & ~AT_EMPTY_PATH:
        return None
    fd = view.directory(_dirfd(how, args))
    if fd < 0:
        return fd
    try:
        return how.act(view, fd, b"", args)
    except UnreadableMemory as error:
        return -error.errno
    finally:
        os.close(fd)


def _from(
    how: Glance,
    view: View,
    args: Sequence[int],
    base: int,
    clean: bytes,
    full: bytes,
    refusal: Refusal,
) -> int | None:
    """`clean` is relative to `base`, `full` the same from the root."""
    leaf = b""
    if how.changes:
        if view.domain is not None:
            return None
        if view.validate is not None:
            view.validate()  # it was the task's memory that the name was read from
        head, slash, leaf = clean.rpartition(b"/")
        place, clean = O_PATH_DIRECTORY, head or slash or b"."
    elif how.reads_links and view.same_objects is None and not view.tells_missing:
        # An open for writing with a slash at the end tells of a directory and of nothing there by
        # its error, leaves no descriptor to close (may_open, EISDIR), and with RESOLVE_CACHED
        # mounts nothing (follow_automount); a link at the end would have been ELOOP.
        is_likely = _links.was_last or full in _links
        found = -ELOOP if is_likely else openat2(base, clean + b"/", os.O_WRONLY, 0, _IN_CACHE)
        if found in _NO_LINK:
            return -refusal(full) or _NO_LINK[found]
        release(found)
        place = O_PATH_NOFOLLOW
    elif how.never or (how.flags >= 0 and args[how.flags] & AT_SYMLINK_NOFOLLOW):
        place = O_PATH_NOFOLLOW
    else:
        place = O_PATH
    fd = openat2(base, clean, place, 0, RESOLVE_NO_SYMLINKS)
    if fd >= 0:
        try:
            result = _reached(how, view, args, fd, leaf, full, refusal)
        finally:
            os.close(fd)
        if how.reads_links:
            _note_link(full, result)
        return result
    if fd == -ELOOP and not how.changes:
        return _by_links(how, view, args, base, clean, place, refusal)
    if fd != -ENOENT or view.tells_missing or how.changes:
        return None
    # RESOLVE_NO_SYMLINKS fails at the first link (ELOOP, pick_link in fs/namei.c): no link led to
    # what is missing, so this is the name by which every other way would have missed it.
    return -refusal(full) or -ENOENT


def _by_links(
    how: Glance,
    view: View,
    args: Sequence[int],
    base: int,
    name: bytes,
    place: int,
    refusal: Refusal,
) -> int | None:
    """The same where links are on the way: what they led to is judged by its own name, and kept.

    The kernel follows them as for the task, but on a procfs, where they lead to whoever walks. What
    was unlinked meanwhile has a name with an end of the kernel's (d_path), which tells nothing.
    """
    fd = openat2(base, name, place, 0, RESOLVE_NO_MAGICLINKS)
    if fd < 0:
        return None
    try:
        canonical = name_of(fd)
        if canonical[:1] != b"/" or canonical.endswith(_DELETED) or on_procfs(fd):
            return None
        if canonical == b"/" and has_left_its_mount(fd):
            return None
        return _reached(how, view, args, fd, b"", canonical, refusal)
    except OSError:
        return None
    finally:
        os.close(fd)


def _reached(
    how: Glance,
    view: View,
    args: Sequence[int],
    fd: int,
    leaf: bytes,
    full: bytes,
    refusal: Refusal,
) -> int | None:
    same = view.same_objects
    if same is not None and not how.changes and same.of(fd):
        return None  # its other names are judged as well
    try:
        return -refusal(full) or how.act(view, fd, leaf, args)
    except UnreadableMemory as error:
        return -error.errno


def _note_link(name: bytes, result: int | None) -> None:
    if result == -EINVAL:
        _links.was_last = False
        _links.discard(name)
    elif result is not None and result >= 0:
        if len(_links) >= _MOST_LINKS:
            _links.clear()
        _links.was_last = True
        _links.add(name)


def _dirfd(how: Glance, args: Sequence[int]) -> int:
    if how.dirfd < 0:
        return AT_FDCWD
    value = args[how.dirfd] & _INT
    return value - (1 << 32) if value >> 31 else value


def _stat(place: int, size: int) -> _Act:
    def act(view: View, fd: int, leaf: bytes, args: Sequence[int]) -> int | None:
        facts = native_stat(fd, size)
        if isinstance(facts, int):
            return facts
        view.write_bytes(args[place], facts)
        return 0

    return act


def _statx(view: View, fd: int, leaf: bytes, args: Sequence[int]) -> int | None:
    facts = statx_bytes(fd, b"", args[2] & _AT_STATX_DONT_SYNC | AT_EMPTY_PATH, args[3] & _INT)
    if isinstance(facts, int):
        return facts
    view.write_bytes(args[4], facts)
    return 0


def _access(place: int) -> _Act:
    def act(view: View, fd: int, leaf: bytes, args: Sequence[int]) -> int | None:
        result = faccessat2(fd, b"", args[place] & _INT, AT_EMPTY_PATH)
        return None if result == -ENOSYS else result

    return act


def _readlink(place: int) -> _Act:
    def act(view: View, fd: int, leaf: bytes, args: Sequence[int]) -> int | None:
        text = readlinkat(fd, b"")
        if isinstance(text, int):
            # By an empty name the kernel says ENOENT of what is no link (do_readlinkat).
            return -EINVAL
        if on_procfs(fd):
            return None  # it means something else to the supervisor
        text = text[: args[place + 1]]
        view.write_bytes(args[place], text)
        return len(text)

    return act


def _unlink(flags: int) -> _Act:
    def act(view: View, fd: int, leaf: bytes, args: Sequence[int]) -> int | None:
        return unlinkat(fd, leaf, flags)

    return act


def _unlinkat(view: View, fd: int, leaf: bytes, args: Sequence[int]) -> int | None:
    return unlinkat(fd, leaf, args[2] & _INT)


def _mkdir(place: int) -> _Act:
    def act(view: View, fd: int, leaf: bytes, args: Sequence[int]) -> int | None:
        take_umask(view)
        return mkdirat(fd, leaf, args[place] & _MODE)

    return act


def _has_room(place: int) -> Callable[[Sequence[int]], bool]:
    return lambda args: 0 < args[place] & _INT < 1 << 31


def _has_mode(place: int) -> Callable[[Sequence[int]], bool]:
    return lambda args: not args[place] & _INT & ~_ACCESS_MODES


def _always(args: Sequence[int]) -> bool:
    return True


_LOOKS = AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT


def _stats() -> Mapping[str, Glance]:
    """Those whose struct is the one that the supervisor's own call fills in."""
    if number(NATIVE_ABI, "newfstatat") is None:
        return {}
    size = stat_size(ABIS[NATIVE_ABI])
    return {
        "stat": Glance(_stat(1, size), _always),
        "lstat": Glance(_stat(1, size), _always, never=True),
        "newfstatat": Glance(_stat(2, size), _always, name=1, dirfd=0, flags=3, known=_LOOKS),
    }


GLANCES: Mapping[str, Glance] = {
    **_stats(),
    "statx": Glance(
        _statx,
        lambda args: not args[3] & _STATX_RESERVED,
        name=1,
        dirfd=0,
        flags=2,
        known=_LOOKS | _AT_STATX_DONT_SYNC,
    ),
    "access": Glance(_access(1), _has_mode(1)),
    "faccessat": Glance(_access(2), _has_mode(2), name=1, dirfd=0),
    "faccessat2": Glance(_access(2), _has_mode(2), name=1, dirfd=0, flags=3),
    "readlink": Glance(_readlink(1), _has_room(2), never=True, reads_links=True),
    "unlink": Glance(_unlink(0), _always, changes=True),
    "rmdir": Glance(_unlink(AT_REMOVEDIR), _always, changes=True),
    "unlinkat": Glance(
        _unlinkat, _always, name=1, dirfd=0, flags=2, known=AT_REMOVEDIR, changes=True
    ),
    "mkdir": Glance(_mkdir(1), _always, changes=True),
    "mkdirat": Glance(_mkdir(2), _always, name=1, dirfd=0, changes=True),
    "readlinkat": Glance(_readlink(2), _has_room(3), name=1, dirfd=0, never=True, reads_links=True),
}
"""By call, of the native ABI."""

"""Opening for a task: the decision is about the object that the descriptor then refers to.

The fast way decides on the name as it stands and lets RESOLVE_NO_SYMLINKS prove that it was the
canonical one. Only where links are on the way is the name resolved, judged again, and opened
through the pinned directory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from errno import EACCES, EAGAIN, EEXIST, EINTR, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENXIO

from enforcer.kernel.file_status import on_procfs, status
from enforcer.kernel.openat2 import (
    AT_FDCWD,
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)
from enforcer.kernel.paths import AT_EMPTY_PATH
from enforcer.pin.caller import take_umask
from enforcer.pin.channel import Answer, Deputed
from enforcer.pin.identity import is_acting
from enforcer.pin.lexical import lexical
from enforcer.pin.ourselves import hides, open_own_table
from enforcer.pin.pinned import Pinned
from enforcer.pin.places import Unplaced
from enforcer.pin.remote import Facts, RemoteView, carry_out, is_deputed, permit
from enforcer.pin.resolution import MOST_LINKS
from enforcer.pin.resolution import resolve as resolve_name
from enforcer.pin.scopes import NOTHING_THERE, by_magic, by_self, nothing_there
from enforcer.pin.view import (
    O_PATH,
    O_PATH_NOFOLLOW,
    View,
    as_caller,
    name_of,
    names_in,
    own,
    release,
)
from enforcer.syscalls.arguments import follows_open, may_create, open_how

Judge = Callable[[tuple[str, ...], int], int]
"""judge(names, missing) -> 0 to permit, or the positive errno to answer with.

`names` are canonical, in argument order (bytes that are not UTF-8 as surrogate escapes). Bit i of
`missing` says that not even the directory of name i exists. It may be asked several times for one
call, first on a name as it stands: the last answer counts, so whoever logs does it afterwards.
Without any name there is an object of which nobody knows what it is called (UNPLACED): refused.
"""

_MOST_TRIES = 16
PATH_MAX = 4096
_SLASH = ord("/")
_CREATES_NEW = os.O_CREAT | os.O_EXCL
_NOT_BY_CANONICAL = os.O_NOFOLLOW | os.O_EXCL
_SCOPES = RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_XDEV
_TERMINAL = (5, 0)  # /dev/tty


def open_judged(
    view: View,
    dirfd: int,
    name: bytes,
    flags: int,
    mode: int,
    judge: Judge,
    *,
    resolve: int | None = None,
) -> int:
    """Open `name` as the task would: a descriptor of the supervisor, or -errno.

    `flags` and `mode` are the task's: of open, openat or creat when `resolve` is None (unknown bits
    are dropped as the kernel does), else those of openat2 with how.resolve. `dirfd` is the task's
    descriptor number, or AT_FDCWD (-100). The descriptor is O_CLOEXEC; the caller hands it on and
    closes it. A terminal opened does not become the supervisor's. Credentials of the task that
    differ from the supervisor's are taken on meanwhile, also while `judge` is called. May block
    where open does (a FIFO without a peer). Raises TargetGone, and OutOfReach where they cannot be.
    """

    def act() -> int:
        if not is_deputed():
            return _open_judged(view, dirfd, name, flags, mode, judge, resolve)
        asked = dirfd, name, flags, mode, resolve
        return _descriptor(*carry_out(_open_there, view, judge, *asked))

    fd = act() if is_acting() or view.has_supervisors_rights else as_caller(view, act)
    writes = bool(flags & os.O_ACCMODE) and not flags & os.O_PATH
    if fd >= 0 and hides(view, fd, writes=writes):
        os.close(fd)
        return -EACCES
    return fd


def _open_there(
    deputed: Deputed,
    facts: Facts,
    dirfd: int,
    name: bytes,
    flags: int,
    mode: int,
    resolve: int | None,
) -> Answer:
    view = RemoteView(deputed, facts)
    return _given(_open_judged(view, dirfd, name, flags, mode, view.judge, resolve))


def _given(result: int) -> Answer:
    return (0, (result,)) if result >= 0 else (result, ())


def _descriptor(result: object, given: Sequence[int]) -> int:
    if given:
        return given[0]
    assert isinstance(result, int)
    return result


def _open_judged(
    view: View, dirfd: int, name: bytes, flags: int, mode: int, judge: Judge, resolve: int | None
) -> int:
    if resolve is None:
        how = 0
        flags, mode = open_how(flags, mode)
    else:
        how = resolve
    if how:
        wrong = wrong_flags(flags, mode, how)
        if wrong:
            return wrong
    # A supervisor that leads a session would get the terminal as its own (tty_open_proc_set_tty).
    # With O_PATH nothing is opened, and openat2 refuses most flags (O_PATH_FLAGS in fs/open.c).
    flags |= os.O_CLOEXEC if flags & os.O_PATH else os.O_CLOEXEC | os.O_NOCTTY
    if may_create(flags):
        take_umask(view)
    if how & _SCOPES:
        return _open_scoped(view, dirfd, name, flags, mode, judge, how)
    # The kernel looks at flags before it reads the name (build_open_flags, then getname).
    if len(name) >= PATH_MAX:
        return wrong_flags(flags, mode, how) or -ENAMETOOLONG
    clean = lexical(name)
    if how & RESOLVE_NO_SYMLINKS and (clean is None or view.opens_what_it_judged):
        return _open_scoped(view, dirfd, name, flags, mode, judge, how)
    if clean is None or view.opens_what_it_judged:
        return _open_pinned(view, dirfd, name, flags, mode, judge, how)
    if clean[0] == _SLASH:
        if view.fixed_root:
            fd = _open_plain(view, AT_FDCWD, clean, os.fsdecode(clean), flags, mode, judge, how)
        else:
            base = view.root()
            if base < 0:
                return base
            fd = _open_plain(view, base, clean[1:], os.fsdecode(clean), flags, mode, judge, how)
            os.close(base)
    else:
        base = view.directory(dirfd)
        if base < 0:
            return wrong_flags(flags, mode, how) or base
        try:
            prefix = names_in(view, base).seen
            full = prefix + clean if prefix == b"/" else prefix + b"/" + clean
            fd = _open_plain(view, base, clean, os.fsdecode(full), flags, mode, judge, how)
        except Unplaced:
            return -judge((), 0)
        except OSError as error:
            return -(error.errno or ENOENT)
        finally:
            os.close(base)
    if fd != -ELOOP or how & RESOLVE_NO_SYMLINKS:
        return fd
    # O_NOFOLLOW and O_EXCL are about the last name itself, which the canonical one replaces.
    if view.fixed_root and clean[0] == _SLASH and not flags & _NOT_BY_CANONICAL and not how:
        fd = _open_canonical(view, clean, flags, mode, judge)
        if fd >= 0 or fd == -EINTR:
            return fd
    return _open_pinned(view, dirfd, name, flags, mode, judge, how)


def open_for_reading(view: View, fd: int) -> int:
    """A descriptor for reading of what `fd` (O_PATH) refers to, by the task's rights, or -errno."""

    def reopen() -> int:
        if is_deputed():
            return _descriptor(*carry_out(_reopen_there, view, permit, descriptors=(fd,)))
        return openat2(*own(fd), os.O_CLOEXEC, 0, 0)

    return as_caller(view, reopen)


def _reopen_there(deputed: Deputed, facts: Facts, fd: int) -> Answer:
    return _given(openat2(*own(fd), os.O_CLOEXEC, 0, 0))


def _open_canonical(view: View, name: bytes, flags: int, mode: int, judge: Judge) -> int:
    """Let the kernel walk the links, then open what it found by its canonical name.

    Any failure (denials too) is for the step-by-step way to judge again: links may have changed,
    and what `self` means is not yet put right here.
    """
    found = openat2(AT_FDCWD, name, O_PATH, 0, RESOLVE_NO_MAGICLINKS)
    if found < 0:
        return found
    try:
        canonical = name_of(found)
        if on_procfs(found):
            return -ELOOP
    except OSError as error:
        return -(error.errno or ELOOP)
    finally:
        os.close(found)
    if canonical[:1] != b"/" or judge((os.fsdecode(canonical),), 0):
        return -ELOOP
    return openat2(AT_FDCWD, canonical, flags, mode, RESOLVE_NO_SYMLINKS)


def _open_plain(
    view: View, base: int, rest: bytes, name: str, flags: int, mode: int, judge: Judge, how: int
) -> int:
    """Judge `name`, then open `rest` from `base`; -ELOOP when it needs the step-by-step way.

        supervisor                              somebody
        judges /a/b
                                                puts a link in the place of /a
        openat2(/a/b, RESOLVE_NO_SYMLINKS):
        ELOOP (pick_link in fs/namei.c)

    So what is opened is what has the judged name at that moment, and no other.
    """
    # What is refused here is a spelling: with a link on the way the object has another name, which
    # may be permitted, and a name that leads to nothing may have to be told as ENOENT.
    errno = judge((name,), 0)
    if errno:
        probe_flags = O_PATH_NOFOLLOW if flags & os.O_NOFOLLOW else O_PATH
        probe = openat2(base, rest, probe_flags, 0, RESOLVE_NO_SYMLINKS)
        if probe == -ELOOP or (probe in NOTHING_THERE and view.tells_missing):
            return -ELOOP
        release(probe)
        return -errno
    fd = openat2(base, rest, flags, mode, RESOLVE_NO_SYMLINKS | how)
    if fd in NOTHING_THERE and view.tells_missing:
        return -ELOOP
    if fd == -ENXIO:  # /dev/tty is the terminal of who opens it: we have none
        return _open_terminal(view, openat2(base, rest, O_PATH, 0, RESOLVE_NO_SYMLINKS), flags)
    return fd


def _open_pinned(
    view: View, dirfd: int, name: bytes, flags: int, mode: int, judge: Judge, how: int
) -> int:
    """Resolve, judge the canonical name, open in the pinned directory; again when it changed.

        supervisor                              somebody
        resolves: directory 5, leaf b, object 6
        judges the name of 6
                                                puts a link in the place of b
        openat2(5, b, RESOLVE_NO_SYMLINKS):
        ELOOP, and all of it once more

    Where a name is not enough (see View.opens_what_it_judged) 6 itself is opened again, by its link
    in procfs, which leads to the object and walks no name (nd_jump_link in fs/namei.c).
    """
    if how & RESOLVE_CACHED:  # may always fail; the caller tries without (openat2(2))
        return -EAGAIN
    follow = follows_open(flags)
    entry = bool(flags & os.O_CREAT) and name.endswith(b"/")  # refused whatever the end is
    magic = not how & RESOLVE_NO_MAGICLINKS
    for _ in range(_MOST_TRIES):
        with resolve_name(view, dirfd, name, follow=follow, entry=entry, magic=magic) as pinned:
            if not pinned.name:
                if pinned.unplaced:
                    return -judge((), 0)
                return wrong_flags(flags, mode, how) or -pinned.errno
            errno = judge((pinned.name,), pinned.missing) or judge_same(pinned.others, judge)
            if not errno and view.same_objects is not None and pinned.exists:
                errno = judge_same(view.same_objects.of(pinned.fd), judge)
            if errno:
                return -errno
            if pinned.errno:
                wrong = wrong_flags(flags, mode, how)
                if wrong:
                    return wrong
            fd = _open_object(view, pinned, flags, mode)
            if fd == -EACCES and pinned.exists and pinned.parent >= 0:
                fd = _open_own(view, pinned, flags)
        if fd == -ELOOP and follow:
            continue
        # Ours, not the caller's: a name that was free when it was judged has been taken since.
        if fd == -EEXIST and flags & _CREATES_NEW != _CREATES_NEW:
            continue
        return fd
    return -ELOOP


def _open_own(view: View, pinned: Pinned, flags: int) -> int:
    """What only its own process may search for, or -EACCES; a task that was led to it may."""
    if flags & _CREATES_NEW == _CREATES_NEW:  # there already, whatever else is asked (do_open)
        return -EEXIST
    return open_own_table(view, pinned.parent, pinned.leaf, flags)


def wrong_flags(flags: int, mode: int, how: int = 0) -> int:
    """-EINVAL where the kernel refuses the flags before it looks at the name, else 0."""
    return -EINVAL if openat2(AT_FDCWD, b"", flags, mode, how) == -EINVAL else 0


def judge_same(names: tuple[str, ...], judge: Judge) -> int:
    """0, or why one of the names of an object is refused."""
    for name in names:
        errno = judge((name,), 0)
        if errno:
            return errno
    return 0


def _open_object(view: View, pinned: Pinned, flags: int, mode: int) -> int:
    if pinned.parent < 0:
        return -pinned.errno if pinned.fd < 0 else _reopen(view, pinned.fd, flags, mode)
    if view.opens_what_it_judged and not pinned.leaf.endswith(b"/"):
        if pinned.exists and flags & _CREATES_NEW != _CREATES_NEW:
            return _reopen(view, pinned.fd, flags, mode)
        if flags & os.O_CREAT:  # judged as a new file: none that appears meanwhile is opened
            flags |= os.O_EXCL
    fd = openat2(pinned.parent, pinned.leaf, flags, mode, RESOLVE_NO_SYMLINKS)
    if fd == -ENXIO and pinned.exists:
        return _open_terminal(view, os.dup(pinned.fd), flags)
    return fd


def _reopen(view: View, fd: int, flags: int, mode: int) -> int:
    # The link in procfs is one at the end of the name: with O_NOFOLLOW it is ELOOP. A directory can
    # be opened without it, as its own entry; of anything else it is known already to be no link.
    if flags & os.O_NOFOLLOW:
        opened = openat2(fd, b".", flags, mode, RESOLVE_NO_SYMLINKS)
        if opened >= 0:
            return opened
        flags &= ~os.O_NOFOLLOW
    opened = openat2(*own(fd), flags, mode, 0)
    return _open_terminal(view, os.dup(fd), flags) if opened == -ENXIO else opened


def _open_scoped(
    view: View,
    dirfd: int,
    name: bytes,
    flags: int,
    mode: int,
    judge: Judge,
    how: int,
    links: int = 0,
) -> int:
    """openat2 with a scope: the kernel walks within it, the object reached is judged and opened.

    Where it met nothing behind a link, what that leads to is walked to from the scope's beginning
    (the kernel's own step_into and pick_link): there it is judged, and may be made. `links` counts.
    """
    if how & RESOLVE_CACHED:
        return -EAGAIN
    asked = how
    inside = how & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)
    absolute = name[:1] == b"/"
    base = view.root() if absolute and not inside else view.directory(dirfd)
    if base < 0 and base != AT_FDCWD:
        return base
    try:
        if not name:
            return -ENOENT
        how |= RESOLVE_NO_MAGICLINKS
        walked = name
        # A leading slash goes to our root, except in a scope: that of the task becomes one.
        if absolute and not inside and base != AT_FDCWD:
            walked = name.lstrip(b"/") or b"."
            how |= RESOLVE_IN_ROOT
        follow = follows_open(flags)
        look = O_PATH if follow else O_PATH_NOFOLLOW
        fd = openat2(base, walked, look, 0, how)
        if fd == -ELOOP and not asked & (RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS):
            fd = by_magic(base, walked, look, how)
        elif fd >= 0 and on_procfs(fd):  # it may have come by `self`, which there means us
            release(fd)
            fd = openat2(base, walked, look, 0, how | RESOLVE_NO_SYMLINKS)
            if fd == -ELOOP and not asked & RESOLVE_NO_SYMLINKS and (inside or not absolute):
                fd = by_self(view, dirfd, walked.lstrip(b"/"), follow)
        if fd >= 0:
            if flags & _CREATES_NEW == _CREATES_NEW:
                flags &= ~os.O_NOFOLLOW
            with Pinned(name=names_in(view, fd), fd=fd) as pinned:
                errno = judge_same((pinned.name, *pinned.others), judge)
                if not errno and view.same_objects is not None:
                    errno = judge_same(view.same_objects.of(fd), judge)
                if errno:
                    return -errno
                if flags & _CREATES_NEW == _CREATES_NEW:
                    return -EEXIST
                if flags & os.O_NOFOLLOW and _is_link(fd):
                    return os.dup(fd) if flags & os.O_PATH else -ELOOP
                return _reopen(view, fd, flags, mode)
        if fd not in NOTHING_THERE:
            return fd
        place = nothing_there(view, base, walked, how)
        if isinstance(place, bytes):
            if links == MOST_LINKS:
                return -ELOOP
            if absolute and place[:1] != b"/":
                place = b"/" + place
            return _open_scoped(view, dirfd, place, flags, mode, judge, asked, links + 1)
        with place as pinned:
            if not pinned.name:
                return fd
            for name_of_nothing in (pinned.name, *pinned.others):
                errno = judge((name_of_nothing,), pinned.missing)
                if errno:
                    return -errno
            if fd != -ENOENT or not flags & os.O_CREAT or pinned.missing:
                return fd
            # O_EXCL: what appears there meanwhile was not judged.
            return openat2(pinned.parent, pinned.leaf, flags | os.O_EXCL, mode, RESOLVE_NO_SYMLINKS)
    except Unplaced:
        return -judge((), 0)
    except OSError as error:
        return -(error.errno or ENOENT)
    finally:
        release(base)


def _is_link(fd: int) -> bool:
    facts = status(fd, b"", AT_EMPTY_PATH)
    return not isinstance(facts, int) and stat.S_ISLNK(facts.mode)


def _open_terminal(view: View, fd: int, flags: int) -> int:
    """Open the task's own controlling terminal where `fd` (consumed) is /dev/tty, else -ENXIO."""
    if fd < 0:
        return -ENXIO
    try:
        facts = status(fd, b"", AT_EMPTY_PATH)
    finally:
        os.close(fd)
    if isinstance(facts, int) or not stat.S_ISCHR(facts.mode):
        return -ENXIO
    if (facts.rdev_major, facts.rdev_minor) != _TERMINAL:
        return -ENXIO
    name = view.terminal()
    if name is None:
        return -ENXIO
    with resolve_name(view, AT_FDCWD, name[0]) as pinned:
        found = status(pinned.fd, b"", AT_EMPTY_PATH) if pinned.exists else -ENXIO
        if isinstance(found, int) or (found.rdev_major, found.rdev_minor) != name[1]:
            return -ENXIO
        return openat2(*own(pinned.fd), flags & ~_CREATES_NEW, 0, 0)

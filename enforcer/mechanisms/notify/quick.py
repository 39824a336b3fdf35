"""Opening by a name that is canonical, or leads to one known: the kernel proves it.

A decision depends on nothing but call, flags and canonical name, so it may be remembered. Where a
name leads may not: openat2 with RESOLVE_NO_SYMLINKS shows at each use that the name is canonical
(or missing, without any link on the way), and a remembered link only says which name to ask about.
"""

from __future__ import annotations

import os
from errno import ENOENT, EXDEV
from typing import Protocol

from enforcer.call import Action, Decision
from enforcer.kernel import procfs
from enforcer.kernel.openat2 import (
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)
from enforcer.pin.caller import take_umask
from enforcer.pin.lexical import lexical
from enforcer.pin.ourselves import hides
from enforcer.pin.view import View
from enforcer.policy.ast import Dialect, Policy
from enforcer.policy.looks import looks_only_at
from enforcer.supervision.judge import LONGEST_KNOWN, MOST_KNOWN, Values, asks
from enforcer.syscalls.arguments import AT_FDCWD, may_create, open_how

_PLAIN_FLAGS = (
    os.O_RDONLY
    | os.O_CLOEXEC
    | os.O_DIRECTORY
    | os.O_LARGEFILE
    | os.O_NOCTTY
    | os.O_NOFOLLOW
    | os.O_NONBLOCK
)
"""Flags with which opening changes nothing."""

_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_APPEND
_FLAGS = _PLAIN_FLAGS | _CHANGING
_NOT_BY_CANONICAL = os.O_NOFOLLOW | os.O_EXCL
"""Flags with which a link at the end is no way to what it leads to."""

_ALWAYS = os.O_CLOEXEC | os.O_NOCTTY
_PATH_FLAGS = os.O_PATH | os.O_CLOEXEC
_ON_ONE_MOUNT = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
_JUDGED_TEXTS = frozenset({"filename", "oflags", "call"})


class Opening(Protocol):
    """The held open, as far as it matters here; `full_name` is made, `decision` given to it."""

    name: str
    tid: int
    full_name: bytes
    decision: Decision | None
    values: Values

    @property
    def view(self) -> View: ...

    def validate(self) -> None: ...

    def judge(self, names: tuple[str, ...], missing: int) -> int: ...


class QuickOpens:
    """What one supervisor remembers.

    `permitted`: call, canonical name and flags to the decision. `links`: names to the canonical
    ones that they led to when last looked at. `far`: names that led to another mount than the
    root's then; at worst the kernel is asked in the other order.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.permitted: dict[tuple[str, bytes, int], Decision] = {}
        self.links: dict[bytes, bytes] = {}
        self.far: set[bytes] = set()
        self.tells_missing = policy.dialect is Dialect.SYSTRACE
        self._fitting: dict[str, bool] = {}

    def open(self, call: Opening, dirfd: int, name: bytes, flags: int, mode: int) -> int:
        """A descriptor, -ENOENT, or -1 where the thorough way must be gone. Raises TargetGone."""
        if flags & ~_FLAGS or not name:
            return -1
        if flags & _CHANGING and may_create(flags):
            take_umask(call.view)
        if name[0] == 0x2F:
            if flags & _CHANGING:
                call.validate()  # it was the task's memory that the name was read from
            call.full_name = name
            return self._open_at(call, AT_FDCWD, name, name, flags, mode)
        if dirfd != AT_FDCWD:
            return -1
        try:
            base = os.open(b"%d/cwd" % call.tid, _PATH_FLAGS, dir_fd=procfs.root())
        except OSError:
            return -1
        try:
            if flags & _CHANGING:
                call.validate()  # else nothing was made, and a call that is over gets nothing
            prefix = os.readlink(b"%d" % base, dir_fd=procfs.descriptors())
            full = prefix + name if prefix == b"/" else prefix + b"/" + name
            call.full_name = full
            return self._open_at(call, base, name, full, flags, mode)
        except OSError:
            return -1
        finally:
            os.close(base)

    def _open_at(
        self, call: Opening, base: int, name: bytes, full: bytes, flags: int, mode: int
    ) -> int:
        clean, mode = open_how(flags, mode) if flags & _CHANGING else (flags, 0)
        clean |= _ALWAYS
        known = self.permitted.get((call.name, full, flags))
        canonical = None if known is not None else self.links.get(full)
        is_new = known is None and canonical is None and lexical(name) == name
        if is_new:
            known = self._judged(call, full)
        if known is not None:
            descriptor = self._opened(call.view, base, name, clean, mode)
            if is_new and descriptor >= 0:
                self._keep(call.name, full, flags, known)
            if descriptor == -ENOENT and not self.tells_missing:
                # The first link would have been ELOOP (pick_link in fs/namei.c): what was judged
                # is the name by which every other way would have missed it.
                call.decision = known
                return descriptor
        else:
            if canonical is None or flags & _NOT_BY_CANONICAL:
                return -1
            known = self.permitted.get((call.name, canonical, flags))
            if known is None or not _leads_to(base, name, canonical):
                return -1
            descriptor = self._opened(call.view, AT_FDCWD, canonical, clean, mode)
        if descriptor >= 0:
            call.decision = known
        return descriptor

    def _opened(self, view: View, base: int, name: bytes, flags: int, mode: int) -> int:
        """A descriptor, or -errno, of what has this very name; -EXDEV for what is hidden.

        The first try may not leave the root's mount, which is no procfs, for /proc was found in it:
        to have the kernel see to that costs nothing, to ask afterwards a request. It fails before
        anything is made (EXDEV, traverse_mounts in fs/namei.c).
        """
        if base == AT_FDCWD and name not in self.far:
            descriptor = openat2(base, name, flags, mode, _ON_ONE_MOUNT)
            if descriptor != -EXDEV:
                return descriptor
            if len(name) <= LONGEST_KNOWN:
                self.far.add(name)
        descriptor = openat2(base, name, flags, mode, RESOLVE_NO_SYMLINKS)
        if descriptor >= 0 and hides(view, descriptor, writes=bool(flags & os.O_ACCMODE)):
            os.close(descriptor)
            return -EXDEV
        return descriptor

    def _judged(self, call: Opening, full: bytes) -> Decision | None:
        """The decision on a name met for the first time, where it is plainly permitted."""
        if not self._fits(call.name) or call.judge((os.fsdecode(full),), 0):
            return None
        decision = call.decision
        if decision is None or decision.log or decision.elevation is not None:
            return None
        return decision

    def _keep(self, name: str, full: bytes, flags: int, decision: Decision) -> None:
        if len(full) > LONGEST_KNOWN:
            return
        if max(len(self.permitted), len(self.links), len(self.far)) > MOST_KNOWN:
            self.permitted.clear()
            self.links.clear()
            self.far.clear()
        self.permitted[name, full, flags] = decision

    def remember(self, call: Opening, flags: int) -> None:
        """What the thorough way has just found out by opening."""
        decision = call.decision
        names = call.values.get("filename")
        if decision is None or not names or names[0] is None or flags & ~_FLAGS:
            return
        if decision.action is not Action.PERMIT or decision.log or decision.elevation is not None:
            return
        if not self._fits(call.name):
            return
        canonical = os.fsencode(names[0])
        self._keep(call.name, canonical, flags, decision)
        if call.full_name not in (b"", canonical) and len(call.full_name) <= LONGEST_KNOWN:
            self.links[call.full_name] = canonical

    def _fits(self, name: str) -> bool:
        """Whether the rules for a call look at nothing but its name and flags."""
        fits = self._fitting.get(name)
        if fits is None:
            fits = self._fitting[name] = not asks(self.policy, name) and looks_only_at(
                self.policy, name, _JUDGED_TEXTS, or_flags=True
            )
        return fits


def _leads_to(base: int, name: bytes, canonical: bytes) -> bool:
    """Whether the kernel comes to `canonical` by `name`, without magic links."""
    found = openat2(base, name, _PATH_FLAGS, 0, RESOLVE_NO_MAGICLINKS)
    if found < 0:
        return False
    try:
        return os.readlink(b"%d" % found, dir_fd=procfs.descriptors()) == canonical
    finally:
        os.close(found)

"""open, openat, openat2 and creat: judged by name, carried out on that very name.

The quick way: the name made absolute is judged, then the task itself opens it by openat2 with
RESOLVE_NO_SYMLINKS from a slot, which proves that it was canonical. ELOOP sends the call round
again by the step-by-step way, which judges the canonical name. What no name can reach (magic
links, a deleted or foreign directory) is opened by the tracer on the pinned object and delivered.
"""

from __future__ import annotations

import os
from errno import EACCES, EBADF, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM
from functools import partial
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from enforcer.call import Action
from enforcer.kernel import ptrace
from enforcer.kernel.openat2 import RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
from enforcer.kernel.paths import AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.directories import identity, is_at
from enforcer.mechanisms.ptrace.calls.general import General
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.mechanisms.ptrace.private import DELIVER
from enforcer.mechanisms.ptrace.reading import directory_name
from enforcer.mechanisms.ptrace.slots import NAME_SIZE
from enforcer.mechanisms.ptrace.tasks import Continuation, Task
from enforcer.mechanisms.ptrace.trampoline import HOW_OFFSET
from enforcer.pin import lexical, open_judged, resolve_as_caller, wrong_flags
from enforcer.pin.elevation import acting_with
from enforcer.pin.identity import OutOfReach
from enforcer.pin.places import UNPLACED
from enforcer.pin.view import View, name_of, release
from enforcer.supervision.journal import UNREADABLE, refusal
from enforcer.supervision.judge import Values
from enforcer.syscalls import number
from enforcer.syscalls.arguments import (
    AT_FDCWD,
    LOW_HALF,
    follows_open,
    open_how,
    read_open_how,
    signed,
    texts_of_open_how,
)
from enforcer.syscalls.memory import Refused, UnreadableMemory

_HOW = Struct("=QQQ")
_HOW_SIZE = _HOW.size
_SCOPES = ~(RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
_ALL_BITS = 0xFFFF_FFFF_FFFF_FFFF
_CWD = AT_FDCWD & _ALL_BITS
_CREAT = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
_SLASH = ord("/")

_OPEN_TREE_CLONE = 1
_AT_RECURSIVE = 0x8000
_TREE_FLAGS = (
    os.O_CLOEXEC
    | _OPEN_TREE_CLONE
    | AT_EMPTY_PATH
    | AT_NO_AUTOMOUNT
    | AT_SYMLINK_NOFOLLOW
    | _AT_RECURSIVE
)
"""What SYSCALL_DEFINE3(open_tree) knows; OPEN_TREE_CLOEXEC is O_CLOEXEC."""

_BY_STEPS = 1
_BY_DELIVERY = 16
"""Values of `Task.retry`: 0 the quick way, then step by step, at last through the tracer."""

_UNREACHED = frozenset({-EACCES, -ENAMETOOLONG, -ENOENT, -ENOTDIR})
"""Failures of an absolute name that the relative name that it stands for might not have."""
_UNSEARCHED = frozenset({-EACCES})
"""The same where nothing is yet: what lies above a working directory, or behind a magic link, may
be closed to the task (inode_permission with MAY_EXEC for each name of a walk).
"""
_KNOWN_LINKS = 4096


class Opening(NamedTuple):
    """One open: the argument `place` holds its name, `links` is how.resolve of openat2."""

    dirfd: int
    place: int
    flags: int
    mode: int
    links: int | None = None


def opening_of(call: HeldCall) -> Opening:
    """What an open asks for. Raises, for openat2 alone, UnreadableMemory and Refused."""
    args = call.args
    match call.name:
        case "open":
            return Opening(AT_FDCWD, 0, *open_how(args[1], args[2]))
        case "creat":
            return Opening(AT_FDCWD, 0, *open_how(_CREAT, args[1]))
        case "openat":
            return Opening(signed(args[0]), 1, *open_how(args[2], args[3]))
        case _:
            flags, mode, links = read_open_how(call, args[2], args[3])
            return Opening(signed(args[0]), 1, flags, mode, links)


class Opens:
    """The handlers of the open family."""

    def __init__(self, act: Act, general: General) -> None:
        self.act = act
        self.general = general
        self.arena = act.arena
        self.own_entries = act.sandbox.own_entries
        self.abis = act.abis
        self.numbers = {arch: number(abi.name, "openat2") or 0 for arch, abi in self.abis.items()}
        self.has_links: set[bytes] = set()
        self.opened_absolute = partial(self.opened, again=frozenset({-ELOOP}), then=_BY_STEPS)
        self.opened_relative = partial(self.opened, again=_UNREACHED | {-ELOOP}, then=_BY_STEPS)

    def open(self, call: HeldCall) -> None:
        """open, openat or creat."""
        self.judge(call, opening_of(call))

    def openat2(self, call: HeldCall) -> None:
        """openat2(dirfd, path, how, size); the struct is read once."""
        try:
            opening = opening_of(call)
        except UnreadableMemory as error:
            self.act.refuse(call, error.errno, UNREADABLE)
        except Refused as error:
            self.act.fail(call, error.number)
        else:
            self.judge(call, opening)

    def open_tree(self, copied: Handler) -> Handler:
        """open_tree(dirfd, path, flags): but for a copy of mounts (`copied`) an open with O_PATH.

        What has no name is left to `copied` too, which holds no descriptor fast.
        """

        def handle(call: HeldCall) -> None:
            flags = call.args[2] & LOW_HALF
            is_copy = bool(flags & _OPEN_TREE_CLONE)
            if flags & ~_TREE_FLAGS or (flags & _AT_RECURSIVE and not is_copy):
                self.act.fail(call, EINVAL)
            elif is_copy or flags & AT_EMPTY_PATH:
                copied(call)
            else:
                asked = os.O_PATH | (flags & os.O_CLOEXEC)
                if flags & AT_SYMLINK_NOFOLLOW:
                    asked |= os.O_NOFOLLOW
                self.judge(call, Opening(signed(call.args[0]), 1, asked, 0))

        return handle

    def judge(self, call: HeldCall, opening: Opening) -> None:
        """Judge one open and let it happen on what was judged."""
        act, task = self.act, call.task
        if not call.policy.needs(call.name):
            self.general.by_registers(call)
            return
        try:
            name = call.read_string(call.args[opening.place])
        except UnreadableMemory as error:
            wrong = wrong_flags(opening.flags, opening.mode, opening.links or 0)
            if wrong:
                act.cancel(call, wrong)
            else:
                act.refuse(call, error.errno, UNREADABLE)
            return
        is_by_name = act.pins and not opening.links and self.is_by_name(call, name)
        if task.retry == 0 and is_by_name:
            absolute = self.absolute(task, opening.dirfd, name)
            if absolute is not None and absolute not in self.has_links:
                decision = act.decide(
                    call, self.values(call, os.fsdecode(absolute), opening=opening)
                )
                if decision.action is Action.PERMIT and not decision.log:
                    self.rewrite_quickly(call, opening, absolute, name[0] != _SLASH)
                    return
        elif task.retry == _BY_STEPS and task.small is not None:
            self.remember_link(self.arena.name_at(task.small))
        self.step_by_step(call, opening, name, is_odd=act.pins and not is_by_name)

    def is_by_name(self, call: HeldCall, name: bytes) -> bool:
        """Whether the task finds by a name what the tracer finds by it, and no alias of it.

        What a relative name starts from may lie in another mount namespace (/proc/PID/root), whose
        names say nothing here.
        """
        if call.policy.may_meet_aliases():
            return False
        return not self.act.sandbox.world_changed or (
            name[:1] == b"/" and not call.view.is_elsewhere()
        )

    @staticmethod
    def values(call: HeldCall, *names: str, opening: Opening) -> Values:
        """The texts that rules see beside the registers."""
        if call.name != "openat2":
            return {"filename": names}
        return {"filename": names, **texts_of_open_how(opening.flags, opening.mode)}

    def absolute(self, task: Task, dirfd: int, name: bytes) -> bytes | None:
        """`name` as an absolute name if it may be canonical; None: take the step-by-step way."""
        clean = lexical(name)
        if clean is None:
            return None
        if clean[0] != _SLASH:
            base = directory_name(task, dirfd)
            if base is None:
                return None
            clean = base + b"/" + clean if base != b"/" else base + clean
        if len(clean) >= NAME_SIZE or self.own_entries.may_have(clean):
            return None
        return clean

    def rewrite_quickly(
        self, call: HeldCall, opening: Opening, name: bytes, relative: bool
    ) -> None:
        """As `rewrite`; where the ABI has a way back, without a stop at the call's exit."""
        how = (opening.flags, opening.mode, RESOLVE_NO_SYMLINKS)
        is_sent = self.act.pass_by_way(
            call,
            self.numbers[call.arch],
            lambda place: (_CWD, place, place + HOW_OFFSET, _HOW_SIZE),
            name + b"\0",
            how=how,
            relative=relative,
        )
        if not is_sent:
            at_exit = self.opened_relative if relative else self.opened_absolute
            self.rewrite(call, opening, name, at_exit)

    def rewrite(
        self,
        call: HeldCall,
        opening: Opening,
        name: bytes,
        at_exit: Continuation,
        dirfd: int = AT_FDCWD,
        resolve: int = RESOLVE_NO_SYMLINKS,
    ) -> None:
        """Let the task itself open `name` from its slot, over no symbolic link by default."""
        act = self.act
        slot = act.take_slot(call)
        if slot is None:
            return
        base = call.task.process.space.base + slot
        arena = self.arena
        arena.write_name(slot, name)
        how = _HOW.pack(opening.flags, opening.mode, resolve)
        arena.write(slot + NAME_SIZE, how)
        arguments = (dirfd & _ALL_BITS, base, base + NAME_SIZE, _HOW_SIZE, 0, 0)
        act.redirect(call, self.numbers[call.arch], arguments, at_exit)

    def opened(self, task: Task, *, again: frozenset[int], then: int) -> None:
        """The exit of a rewritten open. What is in `again` sends the call round once more."""
        act = self.act
        info = ptrace.syscall_info(task.tid)
        result = ptrace.exit_result()
        if result in again and task.retry < _BY_DELIVERY:
            if task.retry == 0 and task.slot is not None:
                self.remember_link(self.arena.name_at(task.slot))
            task.retry = max(then, task.retry + 1)
            act.repeat(task, info)
            return
        task.retry = 0
        act.restore(task, info)

    def remember_link(self, name: bytes) -> None:
        """`name` led over a link: begin with the step-by-step way next time.

        Only a hint that saves time: the step-by-step way is right for every name.
        """
        if len(self.has_links) >= _KNOWN_LINKS:
            self.has_links.clear()
        self.has_links.add(name)

    def step_by_step(self, call: HeldCall, opening: Opening, name: bytes, *, is_odd: bool) -> None:
        """Resolve the name, judge what is canonical, open that.

        `is_odd`: a name does not say which object was judged, so that is opened in the tracer. The
        kernel hands over no O_PATH descriptor (fget refuses it, SECCOMP_ADDFD gives EBADF): that is
        opened by the task itself, by its own name for the object, and looked at afterwards.
        """
        act, task, flags = self.act, call.task, opening.flags
        is_place = flags & os.O_PATH
        is_unreached = task.retry >= _BY_DELIVERY
        is_odd = act.pins and (is_odd or is_unreached)
        # O_CREAT with a slash at the end is EISDIR whatever is there (open_last_lookups).
        is_slashed = act.pins and flags & os.O_CREAT and name.endswith(b"/")
        if (is_odd or is_slashed) and not is_place:
            self.deliver(call, opening, name)
            return
        if is_odd and opening.links:
            self.open_place(call, opening, name)
            return
        follow = follows_open(flags)
        with resolve_as_caller(call.view, opening.dirfd, name, follow=follow) as pinned:
            if pinned.unplaced:
                act.refuse(call, pinned.errno, UNPLACED)
                return
            if not pinned.name:
                act.cancel(call, wrong_flags(flags, opening.mode) or -pinned.errno)
                return
            same = call.view.same_objects
            aliases = same.of(pinned.fd) if same is not None and pinned.exists else ()
            for judged in (pinned.name, *pinned.others, *aliases):
                if not act.permits(call, self.values(call, judged, opening=opening)):
                    return
            if not act.pins:
                act.pass_copied(call, {opening.place: name})
                return
            canonical = pinned.seen
            if pinned.errno and (pinned.errno != ENOENT or pinned.parent < 0):
                act.cancel(call, wrong_flags(flags, opening.mode) or -pinned.errno)
                return
            is_entry = pinned.parent >= 0 and not pinned.magic and not pinned.leaf.endswith(b"/")
            by_name = (
                (is_entry or (flags & os.O_PATH and pinned.exists))
                and canonical[:1] == b"/"
                and len(canonical) < NAME_SIZE
                and (flags & os.O_PATH or not self.own_entries.may_have(canonical))
            )
            exists = pinned.exists
            is_verified = is_place and exists and act.verifies and (is_odd or not by_name)
            place = identity(pinned.fd) if is_verified else None
            beneath = _beneath(call.view, opening.dirfd, name, pinned.fd) if place else b""
        task.retry = max(task.retry, _BY_STEPS)
        if not by_name or (is_unreached and not beneath):
            if place is None or len(name) >= NAME_SIZE:
                self.deliver(call, opening, name)
                return
            # No other name leads there: a magic link passes by what the task may not search.
            at_exit = partial(self.placed, call=call, judged=place)
            self.rewrite(call, opening, name, at_exit, opening.dirfd, opening.links or 0)
            return
        self.has_links.discard(canonical)
        again = _UNREACHED if exists else _UNSEARCHED
        if follow:
            again |= {-ELOOP}
        if place is not None:
            at_exit = partial(self.placed, call=call, judged=place)
            if beneath:
                self.rewrite(call, opening, beneath, at_exit, opening.dirfd)
            else:
                self.rewrite(call, opening, canonical, at_exit)
            return
        self.rewrite(call, opening, canonical, self.exit_of(again, _BY_DELIVERY))

    def open_place(self, call: HeldCall, opening: Opening, name: bytes) -> None:
        """O_PATH within a scope: found and judged by the tracer, opened by the canonical name.

        No such descriptor can be handed over (SECCOMP_ADDFD gives EBADF).
        """
        act = self.act
        found = self.open_judged(call, opening, name)
        try:
            canonical = name_of(found) if found >= 0 else b""
        except OSError as error:
            release(found)
            found = -(error.errno or ENOENT)
        if call.decision is not None and not act.note(call, call.decision):
            release(found)
        elif found < 0:
            act.cancel(call, found)
        else:
            at_exit = self.exit_of(_UNREACHED | {-ELOOP}, _BY_DELIVERY)
            if act.sandbox.world_changed and act.verifies:
                at_exit = partial(self.placed, call=call, judged=identity(found))
            release(found)
            self.rewrite(call, opening, canonical, at_exit)

    def open_judged(self, call: HeldCall, opening: Opening, name: bytes) -> int:
        """A descriptor of the tracer's for what is named and permitted, or -errno."""
        call.decision = None

        def judge(names: tuple[str, ...], missing: int) -> int:
            return self.act.judge_names(call, self.values(call, *names, opening=opening))

        dirfd, _, flags, mode, links = opening
        return open_judged(call.view, dirfd, name, flags, mode, judge, resolve=links)

    def placed(self, task: Task, *, call: HeldCall, judged: tuple[int, int] | None) -> None:
        """The exit of an open with O_PATH by a name that may lead elsewhere: what was judged?

        A: open("x", O_PATH) judged: x is /x        B: mount over /x, or rename
        A: opens what is there now
        A: at its exit stop: not the object that was judged
        """
        act = self.act
        info = ptrace.syscall_info(task.tid)
        result = ptrace.exit_result()
        if judged and result >= 0 and not is_at(Path(f"/proc/{task.tid}/fd/{result}"), judged):
            act.sandbox.end("another object than judged", call=call.name, tid=task.tid)
            return
        task.retry = 0
        act.restore(task, info)

    def exit_of(self, again: frozenset[int], then: int) -> Continuation:
        """The continuation of an open whose name was resolved."""
        return partial(self.opened, again=again, then=then)

    def deliver(self, call: HeldCall, opening: Opening, name: bytes) -> None:
        """Open on the pinned object in the tracer, and hand the descriptor over."""
        act, flags = self.act, opening.flags
        listener = act.sandbox.listener
        if listener is None:
            act.refuse(call, EACCES, "nothing to hand a descriptor over by")
            return
        call.decision = None

        def opener() -> int:
            try:
                with acting_with(call.view, call.elevation):
                    opened = self.open_judged(call, opening, name)
            except OutOfReach as error:
                call.decision = refusal(EPERM, str(error))
                return -EPERM
            if opened >= 0 and opening.flags & os.O_PATH:
                os.close(opened)
                call.decision = refusal(EBADF, "an O_PATH descriptor of this cannot be handed over")
                return -EBADF
            return opened

        def delivered(task: Task) -> None:
            listener.forget(task.tid)
            task.retry = 0
            if call.decision is None or act.note(call, call.decision):
                act.restore(task, ptrace.syscall_info(task.tid))

        listener.arrange(call.tid, opener, close_on_exec=bool(flags & os.O_CLOEXEC))
        act.redirect(call, DELIVER, (), delivered)


def _beneath(view: View, dirfd: int, name: bytes, fd: int) -> bytes:
    """The canonical name of an object from a directory that the task has, empty where it has none.

    That directory may be outside of the task's root, where no absolute name leads to.
    """
    if name[:1] == b"/":
        return b""
    base = view.directory(dirfd)
    try:
        prefix, full = (name_of(each) for each in (base, fd)) if base >= 0 else (b"", b"")
    except OSError:
        return b""
    finally:
        release(base)
    if full and full == prefix:
        return b"."
    prefix = prefix.rstrip(b"/") + b"/"
    rest = full[len(prefix) :] if full.startswith(prefix) else b""
    return rest if len(rest) < NAME_SIZE else b""

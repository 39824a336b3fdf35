"""open, openat, openat2 and creat: judged by name, carried out on that very name.

The quick way: the name made absolute is judged, then the task itself opens it by openat2 with
RESOLVE_NO_SYMLINKS from a slot, which proves that it was canonical. ELOOP sends the call round
again by the step-by-step way, which judges the canonical name. What no name can reach (magic
links, a deleted or foreign directory) is opened by the tracer on the pinned object and delivered.
"""

from __future__ import annotations

import os
from errno import E2BIG, EACCES, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from functools import partial
from struct import Struct
from typing import TYPE_CHECKING

from enforcer.call import Action, Decision
from enforcer.kernel import ptrace
from enforcer.kernel.openat2 import AT_FDCWD, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.authority import errno_of
from enforcer.mechanisms.ptrace.private import DELIVER
from enforcer.mechanisms.ptrace.returns import FRAME, HOW_OFFSET, NAME_ROOM, WAYS
from enforcer.mechanisms.ptrace.slots import NAME_SIZE
from enforcer.mechanisms.ptrace.tasks import Continuation, Task
from enforcer.pin import lexical, open_judged, resolve
from enforcer.supervision.memory import UnreadableMemory
from enforcer.syscalls import number
from enforcer.syscalls.translate import translate_oflags

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.calls import Calls
    from enforcer.mechanisms.ptrace.dispatch import Entry
    from enforcer.mechanisms.ptrace.tracer import Tracer

_HOW = Struct("=QQQ")
_HOW_SIZE = _HOW.size
_PAGE = 4096
_VALID_FLAGS = 0o37777703
_PATH_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_PATH | os.O_CLOEXEC
_WILL_CREATE = os.O_CREAT | 0o20000000
_MODES = 0o7777
_SCOPES = ~(RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
_NEW = os.O_CREAT | os.O_EXCL
_CWD = AT_FDCWD & 0xFFFF_FFFF_FFFF_FFFF
_SLASH = ord("/")

_BY_STEPS = 1
_BY_DELIVERY = 16
"""Values of `Task.retry`: 0 the quick way, then step by step, at last through the tracer."""

_UNREACHED = frozenset({-EACCES, -ENAMETOOLONG, -ENOENT, -ENOTDIR})
"""Failures of an absolute name that the relative name that it stands for might not have."""
_KNOWN_LINKS = 4096


def open_how(flags: int, mode: int) -> tuple[int, int]:
    """Flags and mode as openat(2) understands them and openat2(2) accepts them (build_open_how)."""
    flags &= _VALID_FLAGS
    if flags & os.O_PATH:
        flags &= _PATH_FLAGS
    return flags, mode & _MODES if flags & _WILL_CREATE else 0


class Opens:
    """The handlers of the open family."""

    def __init__(self, tracer: Tracer, calls: Calls) -> None:
        self.tracer = tracer
        self.calls = calls
        self.arena = tracer.arena
        self.numbers = {
            arch: number(abi.name, "openat2") or 0 for arch, abi in tracer.config.abis.items()
        }
        self.abis = tracer.config.abis
        self.ways = {arch: WAYS[abi.name] for arch, abi in self.abis.items() if abi.name in WAYS}
        self.has_links: set[bytes] = set()
        self.opened_absolute = partial(self.opened, again=frozenset({-ELOOP}), then=_BY_STEPS)
        self.opened_relative = partial(self.opened, again=_UNREACHED | {-ELOOP}, then=_BY_STEPS)

    def open(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """open(path, flags, mode)"""
        flags, mode = open_how(info[6], info[7])
        self.judge(task, info, entry, AT_FDCWD, 0, flags, mode, None)

    def creat(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """creat(path, mode)"""
        flags, mode = open_how(os.O_CREAT | os.O_WRONLY | os.O_TRUNC, info[6])
        self.judge(task, info, entry, AT_FDCWD, 0, flags, mode, None)

    def openat(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """openat(dirfd, path, flags, mode)"""
        flags, mode = open_how(info[7], info[8])
        self.judge(task, info, entry, signed(info[5]), 1, flags, mode, None)

    def openat2(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """openat2(dirfd, path, how, size); the struct is read once."""
        tracer = self.tracer
        try:
            if info[8] < _HOW_SIZE:
                raise UnreadableMemory(info[7], EINVAL)
            if info[8] > _PAGE:
                raise UnreadableMemory(info[7], E2BIG)
            raw = tracer.read_bytes(task, info[7], info[8])
            if any(raw[_HOW_SIZE:]):
                raise UnreadableMemory(info[7], E2BIG)
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        flags, mode, links = _HOW.unpack_from(raw)
        self.judge(task, info, entry, signed(info[5]), 1, flags, mode, links)

    def judge(
        self,
        task: Task,
        info: SyscallInfo,
        entry: Entry,
        dirfd: int,
        place: int,
        flags: int,
        mode: int,
        links: int | None,
    ) -> None:
        """Judge one open and let it happen on what was judged.

        `place` is the argument that holds the name, `links` how.resolve of openat2.
        """
        tracer = self.tracer
        if not task.process.authority.needs(entry.name):
            self.calls.by_registers(task, info, entry)
            return
        try:
            name = tracer.read_string(task, info[5 + place])
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        if task.retry == 0 and tracer.pins and not tracer.world_changed and not links:
            absolute = self.absolute(task, dirfd, name)
            if absolute is not None and absolute not in self.has_links:
                values = self.values(entry, os.fsdecode(absolute), flags, mode)
                decision = tracer.decide(task, entry.name, info[5:11], values, entry.abi)
                if decision.action is Action.PERMIT and not decision.log:
                    self.rewrite_quickly(task, info, absolute, flags, mode, name[0] != _SLASH)
                    return
        elif task.retry == _BY_STEPS and task.small is not None:
            self.remember_link(self.arena.name_at(task.small))
        self.step_by_step(task, info, entry, dirfd, name, flags, mode, links, place)

    @staticmethod
    def values(entry: Entry, name: str, flags: int, mode: int) -> dict[str, tuple[str, ...]]:
        """The texts that rules see beside the registers."""
        if entry.name != "openat2":
            return {"filename": (name,)}
        return {
            "filename": (name,),
            "oflags": (translate_oflags(flags),),
            "mode": (f"{mode:o}",),
        }

    def absolute(self, task: Task, dirfd: int, name: bytes) -> bytes | None:
        """`name` as an absolute name if it may be canonical; None: take the step-by-step way."""
        clean = lexical(name)
        if clean is None:
            return None
        if clean[0] != _SLASH:
            base = self.tracer.directory_name(task, dirfd)
            if base is None:
                return None
            clean = base + b"/" + clean if base != b"/" else base + clean
        return clean if len(clean) < NAME_SIZE else None

    def rewrite_quickly(
        self, task: Task, info: SyscallInfo, name: bytes, flags: int, mode: int, relative: bool
    ) -> None:
        """As `rewrite`; where the ABI has a way back, without a stop at the call's exit."""
        tracer = self.tracer
        space = task.process.space
        way = self.ways.get(info[1])
        slot = task.small
        if way is not None and space.has_way and space.verified and len(name) < NAME_ROOM:
            if slot is None:
                slot = task.small = self.arena.take_small()
        else:
            slot = None
        if way is None or slot is None:
            at_exit = self.opened_relative if relative else self.opened_absolute
            self.rewrite(task, info, name, flags, mode, at_exit)
            return
        memory = self.arena.memory
        end = slot + len(name)
        memory[slot:end] = name
        memory[end] = 0
        _, arch, pointer, _, _, a, b, c, d, e, f, _ = info
        FRAME.pack_into(
            memory, slot + HOW_OFFSET, flags, mode, RESOLVE_NO_SYMLINKS, a, c, d, pointer, b
        )
        task.away = info
        place = space.base + slot
        arguments = (_CWD, place, place + HOW_OFFSET, _HOW_SIZE, e, f)
        after = space.base + (way.relative if relative else way.absolute)
        tracer.registers.send(task.tid, info, self.abis[arch], self.numbers[arch], arguments, after)
        tracer.resume(task)

    def rewrite(
        self,
        task: Task,
        info: SyscallInfo,
        name: bytes,
        flags: int,
        mode: int,
        at_exit: Continuation,
    ) -> None:
        """Let the task itself open `name` from its slot, refusing any symbolic link."""
        tracer = self.tracer
        slot = tracer.take_slot(task, info)
        if slot is None:
            return
        base = task.process.space.base + slot
        arena = self.arena
        arena.write_name(slot, name)
        arena.write(slot + NAME_SIZE, _HOW.pack(flags, mode, RESOLVE_NO_SYMLINKS))
        arguments = (_CWD, base, base + NAME_SIZE, _HOW_SIZE, 0, 0)
        tracer.redirect(task, info, self.numbers[info[1]], arguments, at_exit)

    def opened(self, task: Task, *, again: frozenset[int], then: int, name: bytes = b"") -> None:
        """The exit of a rewritten open. What is in `again` sends the call round once more."""
        tracer = self.tracer
        info = ptrace.syscall_info(task.tid)
        result = ptrace.exit_result()
        if result in again and task.retry < _BY_DELIVERY:
            if task.retry == 0 and task.slot is not None:
                self.remember_link(self.arena.name_at(task.slot))
            task.retry = max(then, task.retry + 1)
            tracer.repeat(task, info)
            return
        task.retry = 0
        tracer.restore(task, info)

    def remember_link(self, name: bytes) -> None:
        """`name` led over a link: begin with the step-by-step way next time.

        Only a hint that saves time: the step-by-step way is right for every name.
        """
        if len(self.has_links) >= _KNOWN_LINKS:
            self.has_links.clear()
        self.has_links.add(name)

    def step_by_step(
        self,
        task: Task,
        info: SyscallInfo,
        entry: Entry,
        dirfd: int,
        name: bytes,
        flags: int,
        mode: int,
        links: int | None,
        place: int,
    ) -> None:
        """Resolve the name, judge what is canonical, open that."""
        tracer = self.tracer
        if tracer.pins and (links or tracer.world_changed or task.retry >= _BY_DELIVERY):
            self.deliver(task, info, entry, dirfd, name, flags, mode, links)
            return
        follow = not flags & os.O_NOFOLLOW and flags & _NEW != _NEW
        with resolve(task.view, dirfd, name, follow=follow) as pinned:
            if not pinned.name:
                tracer.refuse(task, info, pinned.errno)
                return
            values = self.values(entry, pinned.name, flags, mode)
            decision = tracer.decide(task, entry.name, info[5:11], values, entry.abi)
            if not tracer.settle(task, info, entry.name, decision, values):
                return
            if not tracer.pins:
                tracer.pass_copied(task, info, {place: name})
                return
            canonical = os.fsencode(pinned.name)
            if pinned.errno and (pinned.errno != ENOENT or pinned.parent < 0):
                tracer.refuse(task, info, pinned.errno)
                return
            is_entry = pinned.parent >= 0 and not pinned.magic and not pinned.leaf.endswith(b"/")
            by_name = (
                # The kernel hands no O_PATH descriptor over (SECCOMP_ADDFD gives EBADF).
                (is_entry or (flags & os.O_PATH and pinned.exists))
                and canonical[:1] == b"/"
                and len(canonical) < NAME_SIZE
            )
            exists = pinned.exists
        task.retry = max(task.retry, _BY_STEPS)
        if not by_name:
            self.deliver(task, info, entry, dirfd, name, flags, mode, links)
            return
        self.has_links.discard(canonical)
        again = _UNREACHED if exists else frozenset[int]()
        if follow:
            again |= {-ELOOP}
        then = _BY_DELIVERY if exists else _BY_STEPS
        self.rewrite(task, info, canonical, flags, mode, self.exit_of(again, then))

    def exit_of(self, again: frozenset[int], then: int) -> Continuation:
        """The continuation of an open whose name was resolved."""
        return partial(self.opened, again=again, then=then)

    def deliver(
        self,
        task: Task,
        info: SyscallInfo,
        entry: Entry,
        dirfd: int,
        name: bytes,
        flags: int,
        mode: int,
        links: int | None,
    ) -> None:
        """Open on the pinned object in the tracer, and hand the descriptor over."""
        tracer = self.tracer
        listener = tracer.listener
        if listener is None:
            tracer.refuse(task, info, EACCES)
            return
        answer: list[tuple[Decision, dict[str, tuple[str, ...]]]] = []

        def judge(names: tuple[str, ...], missing: int) -> int:
            values = self.values(entry, names[0], flags, mode)
            decision = tracer.decide(task, entry.name, info[5:11], values, entry.abi)
            answer[:] = [(decision, values)]
            return errno_of(decision)

        def opener() -> int:
            return open_judged(task.view, dirfd, name, flags, mode, judge, resolve=links)

        def delivered(task: Task) -> None:
            listener.forget(task.tid)
            task.retry = 0
            if answer:
                decision, values = answer[0]
                if not tracer.note(task, entry.name, decision, values):
                    return
            tracer.restore(task, ptrace.syscall_info(task.tid))

        listener.arrange(task.tid, opener, close_on_exec=bool(flags & os.O_CLOEXEC))
        tracer.redirect(task, info, DELIVER, (), delivered)


def signed(register: int) -> int:
    """A descriptor as the kernel takes it from a register: 32 bits, signed."""
    low = register & 0xFFFF_FFFF
    return low - (1 << 32) if low >> 31 else low

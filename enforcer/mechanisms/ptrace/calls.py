"""Calls without handlers of their own: judged by registers, or performed on pinned objects."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from errno import EPERM
from typing import TYPE_CHECKING

from enforcer.call import Action, Decision
from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.paths import AT_EMPTY_PATH
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.authority import errno_of
from enforcer.mechanisms.ptrace.opens import signed
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import Judge, perform, resolve
from enforcer.supervision.memory import UnreadableMemory
from enforcer.syscalls import number, syscall
from enforcer.syscalls.model import Argument, Follow, Kind

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.dispatch import Entry
    from enforcer.mechanisms.ptrace.tracer import Tracer


_STATUS_FLAGS = {"newfstatat": 3, "fstatat64": 3, "statx": 2}
_DIRECT = {"newfstatat": "fstat", "fstatat64": "fstat64"}


class Calls:
    """The general handlers."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.paths: dict[tuple[str, str], tuple[int, ...]] = {}

    def by_registers(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """No argument in memory is judged: what was decided stays decided."""
        tracer = self.tracer
        decision = tracer.decide(task, entry.name, info[5:11], {}, entry.abi)
        if tracer.settle(task, info, entry.name, decision, {}):
            tracer.proceed(task, info)

    def performed(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """The tracer does the call itself, on the objects that it judged."""
        tracer = self.tracer
        name, args = entry.name, info[5:11]
        if not task.process.authority.needs(name):
            self.by_registers(task, info, entry)
            return
        if not tracer.pins:
            self.unheld(task, info, entry)
            return
        if name in _STATUS_FLAGS and self.status_of_descriptor(task, info, entry):
            return
        try:
            given = self.given(task, info, entry)
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        decision = Decision(action=Action.PERMIT)
        texts: dict[str, tuple[str, ...]] = {}

        def judge(names: tuple[str, ...], missing: int) -> int:
            nonlocal decision
            texts["filename"] = names
            decision = tracer.decide(task, name, args, texts, entry.abi, missing)
            return errno_of(decision)

        result = self.perform(task, entry, args, judge, given)
        if tracer.note(task, name, decision, texts):
            tracer.cancel(task, info, result)

    def given(self, task: Task, info: SyscallInfo, entry: Entry) -> dict[int, bytes]:
        """The names of a call by register. Raises UnreadableMemory."""
        paths = self.paths.get((entry.abi, entry.name))
        if paths is None:
            arguments = syscall(entry.name, entry.abi).arguments
            paths = tuple(each.index for each in arguments if each.kind is Kind.PATH)
            self.paths[entry.abi, entry.name] = paths
        read = self.tracer.read_string
        return {place: read(task, info[5 + place]) for place in paths if info[5 + place]}

    def perform(
        self,
        task: Task,
        entry: Entry,
        args: Sequence[int],
        judge: Judge,
        given: Mapping[int, bytes],
    ) -> int:
        """The act itself. Raises TargetGone."""
        return perform(task.view, entry.abi, entry.name, args, judge, given)

    def status_of_descriptor(self, task: Task, info: SyscallInfo, entry: Entry) -> bool:
        """newfstatat and statx of an empty name: the C library's fstat, and judged as that.

        False: the call names a file after all.
        """
        tracer = self.tracer
        if not info[5 + _STATUS_FLAGS[entry.name]] & AT_EMPTY_PATH or signed(info[5]) < 0:
            return False
        try:
            if info[6] and tracer.read_bytes(task, info[6], 1) != b"\0":
                return False
        except UnreadableMemory:
            return False
        decision = tracer.decide(task, "fstat", info[5:11], {}, entry.abi)
        if tracer.settle(task, info, entry.name, decision, {}):
            if entry.name == "statx":
                tracer.pass_copied(task, info, {1: b""} if info[6] else {})
            else:
                direct = number(entry.abi, _DIRECT[entry.name]) or entry.number
                tracer.redirect(task, info, direct, (info[5], info[7]), tracer.restore_after)
        return True

    def unheld(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """A call on names that the tracer cannot do for its caller, or is told not to pin.

        With `pin` on it is permitted only where the rules for it look at no name: its walk
        cannot be held to what was judged. Without, the copied text (`copy`) or nothing is held.
        """
        tracer = self.tracer
        if not task.process.authority.needs(entry.name):
            self.by_registers(task, info, entry)
            return
        try:
            names, texts = self.names(task, info, entry)
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi)
        if tracer.pins and decision.action is Action.PERMIT:
            decision = Decision(action=Action.DENY, errno=EPERM, reason="its names cannot be held")
        if tracer.settle(task, info, entry.name, decision, texts):
            tracer.pass_copied(task, info, names)

    def names(
        self, task: Task, info: SyscallInfo, entry: Entry
    ) -> tuple[dict[int, bytes], dict[str, tuple[str | None, ...]]]:
        """The names as they stand in memory by argument, and their canonical forms as texts.

        Raises UnreadableMemory.
        """
        found: dict[int, bytes] = {}
        texts: dict[str, tuple[str | None, ...]] = {}
        for argument in syscall(entry.name, entry.abi).arguments:
            address = info[5 + argument.index]
            if argument.kind is Kind.PATH and (address or not argument.null):
                raw = self.tracer.read_string(task, address)
                found[argument.index] = raw
                text = self.canonical(task, info, argument, raw)
                texts["filename"] = (*texts.get("filename", ()), text)
            elif argument.kind is Kind.STRING and address and argument.length is None:
                raw = self.tracer.read_string(task, address)
                found[argument.index] = raw
                texts["string"] = (*texts.get("string", ()), os.fsdecode(raw))
        return found, texts

    def canonical(
        self, task: Task, info: SyscallInfo, argument: Argument, name: bytes
    ) -> str | None:
        """The canonical form of one name just now."""
        dirfd = AT_FDCWD if argument.dirfd is None else signed(info[5 + argument.dirfd])
        flags = 0 if argument.follow_argument is None else info[5 + argument.follow_argument]
        follow = argument.follow is Follow.ALWAYS or (
            argument.follow is Follow.UNLESS_FLAG and not flags & argument.follow_flag
        )
        follow = follow or (
            argument.follow is Follow.IF_FLAG and bool(flags & argument.follow_flag)
        )
        with resolve(
            task.view, dirfd, name, follow=follow, empty=bool(flags & argument.empty_flag)
        ) as pinned:
            return pinned.name or None

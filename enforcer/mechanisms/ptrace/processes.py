"""Births, namespaces, filters and memory: calls that could loosen the tracer's own hold."""

from __future__ import annotations

from collections.abc import Mapping
from errno import E2BIG, EPERM
from struct import Struct
from typing import TYPE_CHECKING

from enforcer.kernel.process_memory import PAGE
from enforcer.kernel.ptrace import SyscallInfo
from enforcer.mechanisms.ptrace.opens import signed
from enforcer.mechanisms.ptrace.slots import SLOT_SIZE
from enforcer.mechanisms.ptrace.tasks import Task
from enforcer.pin import domain_from
from enforcer.supervision.memory import UnreadableMemory
from enforcer.syscalls import remapped, remapping_calls, syscall
from enforcer.syscalls.model import Argument, Kind
from enforcer.syscalls.translate import translate_register

if TYPE_CHECKING:
    from enforcer.mechanisms.ptrace.calls import Calls
    from enforcer.mechanisms.ptrace.dispatch import Entry, Handler
    from enforcer.mechanisms.ptrace.tracer import Tracer

CLONE_UNTRACED = 0x0080_0000
CLONE_NEW_WORLD = 0x0002_0000 | 0x1000_0000
"""CLONE_NEWNS and CLONE_NEWUSER: names may mean something else afterwards."""

_FLAGS = Struct("=Q")
_RESTRICT_ALL_THREADS = 1 << 3  # LANDLOCK_RESTRICT_SELF_TSYNC
_CLONE_ARGS_SMALLEST = 64
_CLONE3_FLAGS = Argument(index=0, name="flags", kind=Kind.FLAGS)

WORLD_CALLS = frozenset(
    {
        "chroot",
        "fsmount",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "open_tree_attr",
        "pivot_root",
        "setns",
        "umount",
        "umount2",
        "unshare",
    }
)
"""Calls after which names may mean something else; from then on every name is resolved anew."""

_IDS = ("uid", "gid", "reuid", "regid", "resuid", "resgid", "fsuid", "fsgid", "groups")
CREDENTIAL_CALLS = frozenset(
    {f"set{ids}{bits}" for ids in _IDS for bits in ("", "32")} | {"capset"}
)
"""Calls after which a task may walk names with other rights than its tracer has."""

MEMORY_CALLS = remapping_calls()
"""Calls that could put something else where the slots are."""


def forget_world(tracer: Tracer) -> None:
    """From now on a task's root and mount namespace may be others than the tracer's."""
    tracer.world_changed = True
    for task in tracer.tasks.values():
        task.view.fixed_root = False


class Processes:
    """The handlers."""

    def __init__(self, tracer: Tracer, calls: Calls) -> None:
        self.tracer = tracer
        self.calls = calls

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "clone": self.clone,
            "clone3": self.clone3,
            **dict.fromkeys(WORLD_CALLS - {"chroot"}, self.change_world),
            **dict.fromkeys(CREDENTIAL_CALLS, self.change_credentials),
            **dict.fromkeys(MEMORY_CALLS, self.change_memory),
            "landlock_restrict_self": self.restrict,
        }

    def clone(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """clone: the child is always traced."""
        tracer = self.tracer
        place = next(
            argument.index
            for argument in syscall(entry.name, entry.abi).arguments
            if argument.kind is Kind.FLAGS
        )
        flags = info[5 + place]
        decision = tracer.decide(task, entry.name, info[5:11], {}, entry.abi)
        if not tracer.settle(task, info, entry.name, decision, {}):
            return
        if flags & CLONE_NEW_WORLD:
            forget_world(tracer)
        if not flags & CLONE_UNTRACED or not tracer.traces_untraced:
            tracer.resume(task)
            return
        arguments = list(info[5:11])
        arguments[place] = flags & ~CLONE_UNTRACED
        tracer.redirect(task, info, info[4], arguments, tracer.restore_after)

    def clone3(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """clone3(args, size): the struct is read once, the kernel gets the copy."""
        tracer = self.tracer
        address, size = info[5], info[6]
        if size < _CLONE_ARGS_SMALLEST:
            tracer.resume(task)
            return
        try:
            if size > min(PAGE, SLOT_SIZE):
                raise UnreadableMemory(address, E2BIG)
            raw = bytearray(tracer.read_bytes(task, address, size))
        except UnreadableMemory as error:
            tracer.refuse_unreadable(task, info, entry, error.errno)
            return
        (flags,) = _FLAGS.unpack_from(raw)
        texts = {"flags": (translate_register(_CLONE3_FLAGS, flags, "clone"),)}
        decision = tracer.decide(task, entry.name, info[5:11], texts, entry.abi)
        if not tracer.settle(task, info, entry.name, decision, texts):
            return
        if flags & CLONE_NEW_WORLD:
            forget_world(tracer)
        if not tracer.copies or not tracer.traces_untraced:
            tracer.resume(task)
            return
        slot = tracer.take_slot(task, info)
        if slot is None:
            return
        _FLAGS.pack_into(raw, 0, flags & ~CLONE_UNTRACED)
        tracer.arena.write(slot, raw)
        arguments = (task.process.space.base + slot, *info[6:11])
        tracer.redirect(task, info, info[4], arguments, tracer.restore_after)

    def change_world(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """From now on no name may be taken for what it was before."""
        if entry.name != "unshare" or info[5] & CLONE_NEW_WORLD:
            forget_world(self.tracer)
        if entry.name in ("setns", "unshare"):
            self.calls.by_registers(task, info, entry)
            task.view.forget()  # the tracer looks at the task again when the call has returned
        else:
            self.calls.unheld(task, info, entry)

    def change_credentials(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """From now on no name is walked in the tracer for a target's own open."""
        self.tracer.credentials_changed = True
        self.calls.by_registers(task, info, entry)
        task.view.forget()  # the tracer looks at the task again when the call has returned

    def restrict(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """landlock_restrict_self(ruleset, flags): what is done for the task is restricted too."""
        tracer = self.tracer
        decision = tracer.decide(task, entry.name, info[5:11], {}, entry.abi)
        if not tracer.settle(task, info, entry.name, decision, {}):
            return
        ruleset = signed(info[5])
        if ruleset != -1:  # which only sets flags of the domain that it has
            view = task.view
            descriptor = view.duplicate(ruleset)
            if descriptor < 0:
                tracer.refuse(task, info, -descriptor)
                return
            try:
                domain = domain_from(descriptor, view.domain)
            except OSError as error:
                tracer.refuse(task, info, error.errno or EPERM)
                return
            tracer.has_domains = True
            restricted = task.process.tasks if info[6] & _RESTRICT_ALL_THREADS else {task.tid}
            for tid in restricted:
                tracer.tasks[tid].view.domain = domain
        tracer.proceed(task, info)

    def change_memory(self, task: Task, info: SyscallInfo, entry: Entry) -> None:
        """Where the slots are nothing else may come to be, seal or no seal."""
        tracer = self.tracer
        base = task.process.space.base
        end = base + tracer.arena.size if base else 0
        for start, stop in remapped(syscall(entry.name, entry.abi), info[5:11]):
            if start < end and (stop is None or stop > base):
                tracer.refuse(task, info, EPERM)
                return
        self.calls.by_registers(task, info, entry)

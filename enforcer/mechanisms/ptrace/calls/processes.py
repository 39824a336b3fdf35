"""Births, namespaces, filters and memory: calls that could loosen the tracer's own hold."""

from __future__ import annotations

from collections.abc import Mapping
from errno import E2BIG, EPERM
from pathlib import Path
from struct import Struct

from enforcer.condition import LOW_HALF, TRUE, Compare, Condition, Operator, holds
from enforcer.kernel.landlock import wrong_flags
from enforcer.kernel.process_memory import PAGE
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.general import General
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.mechanisms.ptrace.slots import NAME_SIZE
from enforcer.pin import domain_from
from enforcer.pin.places import MOUNTING
from enforcer.pin.view import own_identity
from enforcer.supervision import cores
from enforcer.supervision.journal import UNREADABLE
from enforcer.supervision.own_ids import keeps_ids
from enforcer.syscalls import remapped, remapping_calls, syscall
from enforcer.syscalls.arguments import signed, text_of_clone_flags
from enforcer.syscalls.constants import CONSTANTS
from enforcer.syscalls.memory import UnreadableMemory
from enforcer.syscalls.model import Kind

CLONE_UNTRACED = 0x0080_0000
CLONE_NEW_WORLD = 0x0002_0000 | 0x1000_0000
"""CLONE_NEWNS and CLONE_NEWUSER: names may mean something else afterwards."""

_FLAGS = Struct("=Q")
_RESTRICT_ALL_THREADS = 1 << 3  # LANDLOCK_RESTRICT_SELF_TSYNC
_CLONE_ARGS_SMALLEST = 64

WORLD_CALLS = MOUNTING | {"chroot", "setns", "unshare"}
"""Calls after which names may mean something else; from then on every name is resolved anew."""

_IDS = ("uid", "gid", "reuid", "regid", "resuid", "resgid", "fsuid", "fsgid", "groups")
CREDENTIAL_CALLS = frozenset(
    {f"set{ids}{bits}" for ids in _IDS for bits in ("", "32")} | {"capset"}
)
"""Calls after which a task may walk names with other rights than its tracer has."""

_CAP_SYS_PTRACE = 19
_UNPRIVILEGED = Path("/proc/sys/vm/unprivileged_userfaultfd")
_UFFD_USER_MODE_ONLY = 1
_USERFAULTFD_IOC_NEW = 0xAA00

FAULT_CALLS: Mapping[str, Condition] = {
    "userfaultfd": TRUE,
    "ioctl": Compare(1, Operator.EQ, _USERFAULTFD_IOC_NEW, LOW_HALF),
}
"""Calls after which memory may come when the target likes, or never."""

BEGINS_TRACING = frozenset(
    CONSTANTS[name] for name in ("PTRACE_TRACEME", "PTRACE_ATTACH", "PTRACE_SEIZE")
)

MEMORY_CALLS = remapping_calls()
"""Calls that could put something else where the slots are."""

_ROUNDING = frozenset({"remap_file_pages", "shmat"})
"""Those that take an address within a page; all others refuse it (EINVAL)."""


class Processes:
    """The handlers."""

    def __init__(self, act: Act, general: General) -> None:
        self.act = act
        self.general = general
        policies = [each.policy for each in act.sandbox.config.policies]
        self.permits_cores = cores.permits_cores(policies)

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "clone": self.clone,
            "clone3": self.clone3,
            **dict.fromkeys(WORLD_CALLS - {"chroot"}, self.change_world),
            **dict.fromkeys(CREDENTIAL_CALLS, self.change_credentials),
            **dict.fromkeys(MEMORY_CALLS, self.change_memory),
            "umask": self.change_umask,
            "landlock_restrict_self": self.restrict,
            **dict.fromkeys(cores.CHANGES, self.limit),
            **dict.fromkeys(FAULT_CALLS, self.answer_faults),
            "ptrace": self.trace,
        }

    def clone(self, call: HeldCall) -> None:
        """clone: the child is always traced."""
        act = self.act
        place = next(
            argument.index
            for argument in syscall(call.name, call.abi).arguments
            if argument.kind is Kind.FLAGS
        )
        flags = call.args[place]
        if not act.permits(call):
            return
        if flags & CLONE_NEW_WORLD:
            act.sandbox.change_world()
        if not flags & CLONE_UNTRACED or not act.sandbox.traces_untraced:
            act.proceed(call)
            return
        arguments = list(call.args)
        arguments[place] = flags & ~CLONE_UNTRACED
        act.redirect(call, call.number, arguments, act.restore_after)

    def clone3(self, call: HeldCall) -> None:
        """clone3(args, size): the struct is read once, the kernel gets the copy."""
        act = self.act
        address, size = call.args[0], call.args[1]
        if size < _CLONE_ARGS_SMALLEST:
            act.proceed(call)
            return
        try:
            if size > min(PAGE, NAME_SIZE):
                raise UnreadableMemory(address, E2BIG)
            raw = bytearray(call.read_bytes(address, size))
        except UnreadableMemory as error:
            act.refuse(call, error.errno, UNREADABLE)
            return
        (flags,) = _FLAGS.unpack_from(raw)
        if not act.permits(call, {"flags": (text_of_clone_flags(flags),)}):
            return
        if flags & CLONE_NEW_WORLD:
            act.sandbox.change_world()
        if not act.sandbox.traces_untraced:
            act.proceed(call)
            return
        _FLAGS.pack_into(raw, 0, flags & ~CLONE_UNTRACED)
        act.pass_changed(call, {0: bytes(raw)})

    def change_world(self, call: HeldCall) -> None:
        """From now on no name may be taken for what it was before."""
        if call.name != "unshare" or call.args[0] & CLONE_NEW_WORLD:
            self.act.sandbox.change_world()
        if call.name in ("setns", "unshare"):
            self.general.by_registers(call)
            call.task.view.forget()  # the tracer looks at the task again when the call has returned
        else:
            self.general.unheld(call)

    def change_credentials(self, call: HeldCall) -> None:
        """From now on no name is walked in the tracer for a target's own open."""
        standing = call.view.standing()
        if standing.is_own and keeps_ids(call.name, call.abi, call.args, standing.identity):
            self.general.by_registers(call)
            return
        self.act.sandbox.credentials_changed = True
        self.general.by_registers(call)
        call.task.view.forget()  # the tracer looks at the task again when the call has returned

    def change_umask(self, call: HeldCall) -> None:
        """umask(mask): what the tracer makes for the task next has the new one."""
        self.general.by_registers(call)
        call.task.view.forget_umask()  # asked again when the call has returned

    def restrict(self, call: HeldCall) -> None:
        """landlock_restrict_self(ruleset, flags): what is done for the task is restricted too."""
        act, task = self.act, call.task
        if not act.permits(call):
            return
        ruleset = signed(call.args[0])
        if ruleset != -1:  # which only sets flags of the domain that it has
            descriptor = wrong_flags(call.args[1]) or task.view.duplicate(ruleset)
            if descriptor < 0:
                act.fail(call, -descriptor)
                return
            try:
                domain = domain_from(descriptor, task.view.domain)
            except OSError as error:
                act.fail(call, error.errno or EPERM)
                return
            act.sandbox.has_domains = True
            restricted = task.process.tasks if call.args[1] & _RESTRICT_ALL_THREADS else {task.tid}
            for tid in restricted:
                act.sandbox.tasks[tid].view.domain = domain
        act.proceed(call)

    def limit(self, call: HeldCall) -> None:
        """setrlimit and prlimit64: the limit of core dumps is not raised (see cores.py)."""
        act = self.act
        if self.permits_cores or not holds(cores.CHANGES[call.name], call.args):
            self.general.by_registers(call)
            return
        if not act.permits(call):
            return
        try:
            number = cores.change(call, act.abis[call.arch].pointer_size)
        except UnreadableMemory as error:
            act.refuse(call, error.errno, UNREADABLE)
            return
        if number == EPERM:
            act.refuse(call, EPERM, cores.LIMITED)
        else:
            act.cancel(call, -number)

    def answer_faults(self, call: HeldCall) -> None:
        """userfaultfd(flags), and the same by /dev/userfaultfd: no faults of the kernel's.

        The tracer reads a name by such a fault, and would wait for who answers it, whom it holds
        itself. Without privilege the kernel has it so anyway (vm.unprivileged_userfaultfd).
        """
        act = self.act
        if not holds(FAULT_CALLS[call.name], call.args):
            self.general.by_registers(call)
            return
        if not act.permits(call):
            return
        is_call = call.name == "userfaultfd"
        if is_call and not _may_answer_kernel(call):
            act.proceed(call)  # the kernel refuses it, or it asks for no more anyway
            return
        arguments = list(call.args)
        arguments[0 if is_call else 2] |= _UFFD_USER_MODE_ONLY
        act.redirect(call, call.number, arguments, act.restore_after)

    def trace(self, call: HeldCall) -> None:
        """ptrace(request, pid...): a traced task has no second tracer, nor may be one here.

        The kernel says EPERM as well (ptrace_traceme, ptrace_attach), but to nobody's log.
        """
        if call.args[0] not in BEGINS_TRACING:
            self.general.by_registers(call)
        elif self.act.permits(call):
            self.act.refuse(call, EPERM, "its tasks are traced already")

    def change_memory(self, call: HeldCall) -> None:
        """Where the slots are nothing else may come to be, seal or no seal."""
        act = self.act
        base = call.task.process.space.base
        end = base + act.arena.size if base else 0
        tag = act.abis[call.arch].tag_bits
        for start, stop in remapped(syscall(call.name, call.abi), call.args, tag):
            if start % PAGE and call.name not in _ROUNDING:
                continue
            if start < end and (stop is None or stop > base):
                act.refuse(call, EPERM, "protection of the slots")
                return
        self.general.by_registers(call)


def _may_answer_kernel(call: HeldCall) -> bool:
    """Whether the kernel lets the task have a userfaultfd for all faults.

    As userfaultfd_syscall_allowed (fs/userfaultfd.c): by the setting, or by CAP_SYS_PTRACE in the
    first user namespace, which is no other than the tracer's own.
    """
    identity = call.view.standing().identity
    if identity.effective >> _CAP_SYS_PTRACE & 1:
        return identity.namespace == own_identity().namespace
    try:
        return _UNPRIVILEGED.read_bytes() == b"1\n"
    except OSError:  # before Linux 5.2: everybody may
        return True

"""Calls about processes: execution, new roots and credentials, and those that name processes."""

from __future__ import annotations

import errno
import fcntl
import os

from enforcer.arch import ABIS
from enforcer.condition import holds
from enforcer.kernel.landlock import wrong_flags
from enforcer.kernel.pidfd import pidfd_getfd, pidfd_send_signal
from enforcer.mechanisms.notify import classic
from enforcer.mechanisms.notify.filter import CREDENTIAL_CHANGES, root_changes
from enforcer.mechanisms.notify.shared import Shared
from enforcer.mechanisms.notify.worker import Handler, Worker
from enforcer.pin.identity import Identity
from enforcer.pin.view import own_identity
from enforcer.supervision import cores
from enforcer.supervision.own_ids import keeps_ids
from enforcer.supervision.protect import AIMED, BY_DESCRIPTOR_OR_MEMORY, REFUSED
from enforcer.syscalls.arguments import LOW_HALF, signed
from enforcer.syscalls.memory import Arguments

_CHECKED = frozenset({"process_madvise", "process_mrelease", "setns"})
_CAP_KILL, _CAP_SYS_PTRACE = 5, 19
_PERMISSIONS = 0o777
_REACHING = 1 << _CAP_KILL | 1 << _CAP_SYS_PTRACE
_STRUCT_BYTES = {
    "pidfd_send_signal": 128,
    "pidfd_getfd": 0,
    "fcntl": 8,
    "fcntl64": 8,
    "ioctl": 4,
}
"""siginfo_t, struct f_owner_ex, and the int of FIOSETOWN: what register 2 points to."""


def execution(shared: Shared, name: str) -> Handler:
    """execve and execveat: the launcher's own is let through, the targets' are judged.

    The kernel reads the names again after the judgement: rules on them are enforced only where the
    user accepts that (`cover` says so).
    """
    needs = shared.judge.needs(name)

    def handle(worker: Worker, args: Arguments) -> None:
        if shared.is_launching and worker.tid == shared.target:
            shared.is_launching = False
            worker.let_continue()
            return
        worker.is_changing = True
        shared.standings.executes(worker.tid, worker.view.tgid)
        if needs:
            judged(worker, args)
        elif number := worker.decide({}):
            worker.answer(-number)
        else:
            worker.let_continue()

    judged = classic.check_and_continue(shared, name)
    return handle


def change(shared: Shared, name: str, abi: str, plain: Handler) -> Handler:
    """A call after which the caller may see names, or be permitted things, unlike its supervisor.

    Judged like any other; before it is let through the supervisor stops taking those as given.
    """
    roots = root_changes(abi)
    root = name in roots
    when = roots.get(name) or CREDENTIAL_CHANGES[name]

    def handle(worker: Worker, args: Arguments) -> None:
        is_fixed = shared.are_credentials_fixed  # so that every target is who its supervisor is
        if is_fixed and not root and keeps_ids(name, abi, args, own_identity()):
            plain(worker, args)
            return
        if holds(when, args):
            shared.unfix(root=root, credentials=True)
            worker.is_changing = True
            shared.standings.forget(worker.tid)
        if name == "landlock_restrict_self":
            failure = -worker.decide({}) or _enter_domain(shared, worker, args)
            if failure:
                worker.answer(failure)
            else:
                worker.let_continue()
            return
        plain(worker, args)

    return handle


def _enter_domain(shared: Shared, worker: Worker, args: Arguments) -> int:
    """Hold what is done for the caller to the domain that it is about to enter: 0 or -errno."""
    ruleset = signed(args[0])
    if ruleset == -1:
        return 0  # only flags for the domain that it has
    descriptor = wrong_flags(args[1]) or worker.duplicate(ruleset)
    if descriptor < 0:
        return descriptor
    try:
        shared.domains.enter(worker.view, descriptor)
    except OSError as error:
        return -(error.errno or errno.EPERM)
    return 0


def limit(name: str, abi: str, plain: Handler) -> Handler:
    """setrlimit and prlimit64: the limit of core dumps is not raised (see cores.py)."""
    pointer_size = ABIS[abi].pointer_size

    def handle(worker: Worker, args: Arguments) -> None:
        if not holds(cores.CHANGES[name], args):
            plain(worker, args)
            return
        if worker.refuses():
            return
        number = cores.change(worker, pointer_size)
        if number == errno.EPERM:
            worker.refuse(number, cores.LIMITED)
        else:
            worker.answer(-number)

    return handle


def mask(shared: Shared, plain: Handler) -> Handler:
    """umask: before another one is let through the supervisor stops taking it as given."""

    def handle(worker: Worker, args: Arguments) -> None:
        if args[0] & _PERMISSIONS != shared.umask:
            shared.umask = None
        plain(worker, args)

    return handle


def named_by_register(shared: Shared, name: str, plain: Handler) -> Handler:
    """A call that names a process by number: refused where that is the supervisor's."""

    def handle(worker: Worker, args: Arguments) -> None:
        refusal = shared.protected.refusal(name, args, worker.tid)
        if refusal == REFUSED:
            worker.refuse(REFUSED, AIMED)
        elif refusal:
            worker.answer(-refusal)
        else:
            plain(worker, args)

    return handle


def named_by_descriptor(shared: Shared, name: str, plain: Handler) -> Handler:
    """A call that may name the supervisor by a descriptor or in memory.

    The policy decides first; then the supervisor makes the call itself, on its own duplicate and
    copy, unless it is aimed at the supervisor. Signals, and descriptors of others, go by real ids,
    which no thread of the supervisor may take on: whoever has them could signal it. So a caller
    with other ids makes the call itself, where the kernel keeps it from the supervisor anyway.
    What nobody can do for the caller (_CHECKED) it makes itself when that has been looked at.
    """
    when = BY_DESCRIPTOR_OR_MEMORY[name]
    act = {
        "pidfd_send_signal": _send_signal,
        "pidfd_getfd": _get_descriptor,
    }.get(name, _set_owner)

    def handle(worker: Worker, args: Arguments) -> None:
        if not holds(when, args) or signed(args[0]) < 0:  # PIDFD_SELF names the caller
            plain(worker, args)
            return
        if name in _CHECKED:
            if _is_aimed(shared, worker, args):
                worker.refuse(REFUSED, AIMED)
            else:
                plain(worker, args)
            return
        if worker.refuses():
            return
        identity = worker.view.identity()
        if identity is not None:
            if _is_out_of_reach(identity):
                worker.let_continue()
            else:
                worker.refuse(errno.EPERM, "its supervisor has other rights than the caller")
            return
        descriptor = worker.duplicate(args[0] & LOW_HALF)
        if descriptor < 0:  # which pidfd_send_signal and pidfd_getfd find after wrong flags
            worker.answer(act(args, -1, b"") if name.startswith("pidfd") else descriptor)
            return
        try:
            size = _STRUCT_BYTES[name]
            struct = worker.read_bytes(args[2], size) if size and args[2] else b""
            if name.startswith("pidfd"):
                aimed = shared.protected.is_named_by_descriptor(descriptor)
            else:
                aimed = len(struct) == size and shared.protected.is_named_by_owner(struct)
            worker.validate()
            result = -REFUSED if aimed else act(args, descriptor, struct)
        finally:
            os.close(descriptor)
        if aimed:
            worker.refuse(REFUSED, AIMED)
        elif result >= 0 and name == "pidfd_getfd":
            worker.hand_over(result, close_on_exec=True)
        else:
            worker.answer(result)

    return handle


def _is_aimed(shared: Shared, worker: Worker, args: Arguments) -> bool:
    """Whether the caller's descriptor in register 0 means the supervisor."""
    descriptor = worker.duplicate(signed(args[0]))
    if descriptor < 0:
        return False
    try:
        found = shared.protected.is_named_by_descriptor(descriptor)
        worker.validate()
        return found
    finally:
        os.close(descriptor)


def _is_out_of_reach(identity: Identity) -> bool:
    """Whether the kernel keeps a task from signalling or tracing its supervisor.

    As kill_ok_by_cred (kernel/signal.c) and __ptrace_may_access (kernel/ptrace.c): other real and
    effective ids, and neither capability in the supervisor's user namespace.
    """
    own = own_identity()
    return (
        identity.namespace == own.namespace
        and not identity.effective & _REACHING
        and not {identity.uids[0], identity.uids[1]} & set(own.uids)
    )


def _send_signal(args: Arguments, pidfd: int, info: bytes) -> int:
    return pidfd_send_signal(pidfd, args[1] & LOW_HALF, info or None, args[3] & LOW_HALF)


def _get_descriptor(args: Arguments, pidfd: int, _: bytes) -> int:
    return -errno.EINVAL if args[2] & LOW_HALF else pidfd_getfd(pidfd, args[1] & LOW_HALF)


def _set_owner(args: Arguments, descriptor: int, owner: bytes) -> int:
    if not owner:
        return -errno.EFAULT
    act = fcntl.ioctl if len(owner) == _STRUCT_BYTES["ioctl"] else fcntl.fcntl
    try:
        act(descriptor, args[1] & LOW_HALF, owner)
    except OSError as error:
        return -(error.errno or errno.EINVAL)
    return 0

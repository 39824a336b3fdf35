"""Calls about processes: execution, new roots and credentials, and those that name processes."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from enforcer.condition import holds
from enforcer.kernel.pidfd import pidfd_getfd, pidfd_send_signal
from enforcer.mechanisms.notify import classic
from enforcer.mechanisms.notify.filter import CREDENTIAL_CHANGES, root_changes
from enforcer.mechanisms.notify.worker import Arguments, Worker
from enforcer.supervision.protect import BY_DESCRIPTOR_OR_MEMORY, REFUSED

if TYPE_CHECKING:
    from enforcer.mechanisms.notify.session import Session

Handler = Callable[[Worker, Arguments], None]

_LOW_HALF = 0xFFFF_FFFF
_SIGINFO_BYTES = 128
_OWNER_BYTES = {"fcntl": 8, "fcntl64": 8, "ioctl": 4}


def execution(session: Session, name: str) -> Handler:
    """execve and execveat: the launcher's own is let through, the targets' are judged.

    The kernel reads the names again after the judgement: rules on them are enforced only where the
    user accepts that (`cover` says so).
    """
    needs = session.decider.needs(name)

    def handle(worker: Worker, args: Arguments) -> None:
        if session.is_launching and worker.tid == session.target:
            session.is_launching = False
            worker.let_continue()
        elif needs:
            judged(worker, args)
        elif number := worker.decide({}):
            worker.answer(-number)
        else:
            worker.let_continue()

    judged = classic.check_and_continue(session, name)
    return handle


def change(session: Session, name: str, abi: str, plain: Handler) -> Handler:
    """A call after which the caller may see names, or be permitted things, unlike its supervisor.

    Judged like any other; before it is let through the supervisor stops taking those as given.
    """
    roots = root_changes(abi)
    root = name in roots
    when = roots.get(name) or CREDENTIAL_CHANGES[name]

    def handle(worker: Worker, args: Arguments) -> None:
        if holds(when, args):
            session.unfix(root=root, credentials=True)
        plain(worker, args)

    return handle


def named_by_descriptor(session: Session, name: str, plain: Handler) -> Handler:
    """A call that may name the supervisor by a descriptor or in memory.

    The policy decides first; then the supervisor makes the call itself, on its own duplicate and
    copy, unless it is aimed at the supervisor.
    """
    when = BY_DESCRIPTOR_OR_MEMORY[name]
    act = {
        "pidfd_send_signal": _send_signal,
        "pidfd_getfd": _get_descriptor,
    }.get(name, _set_owner)

    def handle(worker: Worker, args: Arguments) -> None:
        if not holds(when, args):
            plain(worker, args)
            return
        number = worker.decide({})
        if number:
            worker.answer(-number)
            return
        descriptor = worker.duplicate(args[0] & _LOW_HALF)
        if descriptor < 0:
            worker.answer(descriptor)
            return
        try:
            act(worker, args, descriptor)
        finally:
            os.close(descriptor)

    return handle


def _send_signal(worker: Worker, args: Arguments, pidfd: int) -> None:
    if worker.session.protected.is_named_by_descriptor(pidfd):
        worker.refuse(REFUSED, "aimed at the supervisor")
        return
    info = worker.read_bytes(args[2], _SIGINFO_BYTES) if args[2] else None
    worker.validate()
    number = args[1] & _LOW_HALF
    worker.answer(pidfd_send_signal(pidfd, number, info, args[3] & _LOW_HALF))


def _get_descriptor(worker: Worker, args: Arguments, pidfd: int) -> None:
    if worker.session.protected.is_named_by_descriptor(pidfd):
        worker.refuse(REFUSED, "aimed at the supervisor")
        return
    if args[2] & _LOW_HALF:
        worker.answer(-errno.EINVAL)
        return
    worker.validate()
    result = pidfd_getfd(pidfd, args[1] & _LOW_HALF)
    if result < 0:
        worker.answer(result)
    else:
        worker.hand_over(result, close_on_exec=True)


def _set_owner(worker: Worker, args: Arguments, descriptor: int) -> None:
    owner = worker.read_bytes(args[2], _OWNER_BYTES[worker.call])
    if worker.session.protected.is_named_by_owner(owner):
        worker.refuse(REFUSED, "aimed at the supervisor")
        return
    worker.validate()
    command = args[1] & _LOW_HALF
    try:
        if worker.call == "ioctl":
            fcntl.ioctl(descriptor, command, owner)
        else:
            fcntl.fcntl(descriptor, command, owner)
    except OSError as error:
        worker.answer(-(error.errno or errno.EINVAL))
    else:
        worker.answer(0)

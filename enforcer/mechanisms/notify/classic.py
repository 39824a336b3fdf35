"""Judging and doing apart: what weaker supervisors do, and what is left with defences off.

What is judged is not what is done when another task writes, or moves names, in between. Used only
with defences off, and where nobody can do a call for its caller and the user accepts that.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from enforcer.mechanisms.contract import Defence
from enforcer.mechanisms.notify.arguments import read_values
from enforcer.mechanisms.notify.worker import Arguments, Worker
from enforcer.syscalls import syscall

if TYPE_CHECKING:
    from enforcer.mechanisms.notify.session import Session

Handler = Callable[[Worker, Arguments], None]


def check_and_continue(session: Session, name: str) -> Handler:
    """Judge a copy of the arguments, then let the kernel carry the call out."""
    model = syscall(name)

    def handle(worker: Worker, args: Arguments) -> None:
        needs = session.decider.needs(name)
        values, missing = read_values(worker, model, args, needs)
        worker.validate()
        number = worker.decide(values, missing)
        if number:
            worker.answer(-number)
        elif worker.is_multiplexed and not session.is_classic:
            worker.refuse(errno.EPERM, "its arguments lie in memory")
        else:
            worker.let_continue()

    return handle


def judge_and_act(session: Session, name: str, act: Handler) -> Handler:
    """Judge, then let `act` carry the call out without a further look at the policy.

    With the defence `copy` it gets the bytes that were judged, and resolves names once more; with
    `pin` it reads again, and does what it then finds.
    """
    model = syscall(name)
    keeps_copies = Defence.COPY in session.defences

    def handle(worker: Worker, args: Arguments) -> None:
        worker.copies = {} if keeps_copies else None
        try:
            values, missing = read_values(worker, model, args, session.decider.needs(name))
            worker.validate()
            number = worker.decide(values, missing)
            if number:
                worker.answer(-number)
                return
            worker.is_decided = True
            act(worker, args)
        finally:
            worker.is_decided = False
            worker.copies = None

    return handle

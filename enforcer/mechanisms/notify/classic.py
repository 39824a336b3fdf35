"""The supervisor of the textbooks: read the arguments, judge them, let the kernel read them again.

What is judged is not what is done when another task writes in between. Used only with the defences
off, and where nobody can do a call for its caller and the user accepts that (`partial`).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

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

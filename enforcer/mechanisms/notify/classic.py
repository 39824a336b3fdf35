"""Judging and doing apart: what weaker supervisors do, and what is left with defences off.

What is judged is not what is done when another task writes, or moves names, in between. Used only
with defences off, and where nobody can do a call for its caller and the user accepts that.
"""

from __future__ import annotations

import errno

from enforcer.mechanisms.contract import Defence
from enforcer.mechanisms.notify.shared import Shared
from enforcer.mechanisms.notify.worker import Handler, Worker
from enforcer.supervision.addresses import meant_by
from enforcer.supervision.held import walk_of
from enforcer.supervision.messages import path_of
from enforcer.syscalls import syscall
from enforcer.syscalls.arguments import Name, Texts, read_texts, signed
from enforcer.syscalls.memory import Arguments
from enforcer.syscalls.model import Kind


def check_and_continue(shared: Shared, name: str) -> Handler:
    """Judge a copy of the arguments, then let the kernel carry the call out."""

    def handle(worker: Worker, args: Arguments) -> None:
        values, missing = _texts(worker, shared.judge.needs(name))
        if None in values.get("filename", ()):
            _read_names(worker)
        worker.validate()
        number = worker.decide(values, missing)
        if number:
            worker.answer(-number)
        elif worker.is_multiplexed and not shared.is_classic:
            worker.refuse(errno.EPERM, "its arguments lie in memory")
        else:
            worker.let_continue()

    return handle


def _read_names(worker: Worker) -> None:
    """Raise UnreadableMemory, as the kernel fails a name that it cannot read, or that has no end;
    no rule could see it.
    """
    for argument in syscall(worker.name, worker.abi).arguments:
        if argument.kind is Kind.PATH:
            worker.read_string(worker.args[argument.index])


def judge_and_act(shared: Shared, name: str, act: Handler) -> Handler:
    """Judge, then let `act` carry the call out without a further look at the policy.

    With the defence `copy` it gets the bytes that were judged, and resolves names once more; with
    `pin` it reads again, and does what it then finds.
    """
    keeps_copies = Defence.COPY in shared.defences

    def handle(worker: Worker, args: Arguments) -> None:
        worker.copies = {} if keeps_copies else None
        try:
            values, missing = _texts(worker, shared.judge.needs(name))
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


def _texts(worker: Worker, needs: frozenset[str]) -> tuple[dict[str, Texts], int]:
    def walk(name: Name) -> tuple[str | None, bool]:
        return look(name._replace(dirfd=worker.directory(name.dirfd), empty=True))

    is_path = True

    def spell(raw: bytes) -> str | None:
        nonlocal is_path
        is_path = path_of(raw) is not None
        return meant_by(raw, worker.name, signed(worker.args[0]), worker.duplicate).text

    look = walk_of(worker.view)
    name, abi, args = worker.name, worker.abi, worker.args
    values, missing = read_texts(worker, walk, name, abi, args, needs, spell)
    if name == "bind" and values.get("sockaddr") == [None] and not is_path:
        values["filename"] = [""]
    return values, missing

"""Which handler answers which call: chosen once a call and ABI, when it is first held."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from enforcer.arch import ABIS
from enforcer.condition import LOW_HALF
from enforcer.mechanisms.notify import classic, files, processes, sockets
from enforcer.mechanisms.notify.filter import (
    CREDENTIAL_CHANGES,
    EXECUTIONS,
    root_changes,
)
from enforcer.mechanisms.notify.worker import Arguments, Worker
from enforcer.pin import performs
from enforcer.supervision.protect import BY_DESCRIPTOR_OR_MEMORY
from enforcer.syscalls import name as name_of
from enforcer.syscalls import split

if TYPE_CHECKING:
    from enforcer.mechanisms.notify.session import Session

Handler = Callable[[Worker, Arguments], None]


class Handlers(dict[int, "AbiHandlers"]):
    """AUDIT_ARCH to the handlers of that ABI. A foreign ABI never gets here: its task is killed."""

    def __init__(self, session: Session, abis: Sequence[str]) -> None:
        super().__init__(
            {ABIS[abi].audit_arch: AbiHandlers(session, abi) for abi in reversed(abis)}
        )


class AbiHandlers(dict[int, Handler]):
    """Numbers of one ABI to handlers."""

    def __init__(self, session: Session, abi: str) -> None:
        super().__init__()
        self._session = session
        self._abi = abi
        self._by_name: dict[str, Handler] = {}

    def __missing__(self, nr: int) -> Handler:
        name = name_of(self._abi, nr)
        handler = _unknown if name is None else self._on_registers_of_abi(name, nr)
        self[nr] = handler
        return handler

    def named(self, name: str) -> Handler:
        """The handler of a call, whose registers may come from a multiplexer."""
        handler = self._by_name.get(name)
        if handler is None:
            handler = self._by_name[name] = _named(
                name, self._abi, _choose(self._session, name, self._abi)
            )
        return handler

    def _on_registers_of_abi(self, name: str, nr: int) -> Handler:
        abi = ABIS[self._abi]
        if name in abi.multiplexers:
            return self._multiplexer(nr)
        handler = self.named(name)
        if abi.bits == 64:
            return handler

        def narrow(worker: Worker, args: Arguments) -> None:
            worker.args = args = _narrow(args)
            handler(worker, args)

        return narrow

    def _multiplexer(self, nr: int) -> Handler:
        abi = self._abi
        size = ABIS[abi].pointer_size

        def handle(worker: Worker, args: Arguments) -> None:
            meant = split(abi, nr, _narrow(args))
            if meant is None:
                worker.answer(-errno.ENOSYS)
                return
            found = meant.args
            if found is None:
                words = worker.read_bytes(meant.address, meant.count * size)
                found = _six(memoryview(words).cast("I" if size == 4 else "Q").tolist())
            worker.args = found
            worker.is_multiplexed = True
            try:
                self.named(meant.name)(worker, found)
            finally:
                worker.is_multiplexed = False

        return handle


def _named(name: str, abi: str, handler: Handler) -> Handler:
    def handle(worker: Worker, args: Arguments) -> None:
        worker.call = name
        worker.abi = abi
        worker.judged[name] += 1
        handler(worker, args)

    return handle


def _choose(session: Session, name: str, abi: str) -> Handler:
    """How a call is answered, the first of these that fits."""
    needs = session.decider.needs(name)
    if name in EXECUTIONS:
        return processes.execution(session, name)
    if name in BY_DESCRIPTOR_OR_MEMORY:
        return processes.named_by_descriptor(session, name, _plain(session, name, needs))
    if name in CREDENTIAL_CHANGES or name in root_changes(abi):
        return processes.change(session, name, abi, _plain(session, name, needs))
    return _plain(session, name, needs)


def _plain(session: Session, name: str, needs: frozenset[str]) -> Handler:
    if not needs:
        return on_registers
    if session.is_classic:
        return files.or_by_descriptor(name, classic.check_and_continue(session, name))
    if not is_acted_on(name, needs):
        return classic.check_and_continue(session, name) if session.is_partial else _refuse
    if name in files.OPENS:
        handler = files.opening(name)
    elif name in sockets.ADDRESSED:
        handler = sockets.addressed(name)
    else:
        handler = files.performed(name)
    if not session.is_sound:
        handler = classic.judge_and_act(session, name, handler)
    return files.or_by_descriptor(name, handler)


def is_acted_on(name: str, needs: frozenset[str]) -> bool:
    """Whether the supervisor can do the call itself, judged by the texts that rules need."""
    if name in files.OPENS:
        return needs <= ({"filename", "oflags", "mode"} if name == "openat2" else {"filename"})
    if name in sockets.ADDRESSED:
        return needs <= {"sockaddr", "filename"}
    return performs(name) and needs <= {"filename"}


def on_registers(worker: Worker, args: Arguments) -> None:
    """A call that registers (and ids) alone decide: the kernel carries it out."""
    number = worker.decide({})
    if number:
        worker.answer(-number)
    elif worker.is_multiplexed:
        worker.refuse(
            errno.EPERM, "its arguments lie in memory, and nobody can do it for the caller"
        )
    else:
        worker.let_continue()


def _refuse(worker: Worker, args: Arguments) -> None:
    worker.refuse(errno.EPERM, "nobody can do it for the caller, and its arguments lie in memory")


def _unknown(worker: Worker, args: Arguments) -> None:
    worker.answer(-errno.ENOSYS)


def _narrow(args: Arguments) -> Arguments:
    a, b, c, d, e, f = args
    return (a & LOW_HALF, b & LOW_HALF, c & LOW_HALF, d & LOW_HALF, e & LOW_HALF, f & LOW_HALF)


def _six(words: Sequence[int]) -> Arguments:
    a, b, c, d, e, f = (*words, 0, 0, 0, 0, 0, 0)[:6]
    return (a, b, c, d, e, f)

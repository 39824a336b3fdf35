"""The broker: outside of the filter, it opens what the policy permits and hands it over."""

from __future__ import annotations

import errno
import os
import socket
import threading
from dataclasses import dataclass, field

from enforcer.access.kinds import Access
from enforcer.access.tree import Node
from enforcer.arch import ABIS
from enforcer.call import Action
from enforcer.events import EventKind, EventLog
from enforcer.kernel import procfs, seccomp
from enforcer.mechanisms.broker.channel import BEGUN, Question, answer, next_question, take
from enforcer.mechanisms.contract import PreparedName
from enforcer.pin import open_judged
from enforcer.pin.identity import OutOfReach
from enforcer.pin.view import TargetGone, View
from enforcer.syscalls import number

ABI = "x86_64"
OPENING = ("open", "openat", "openat2", "creat")
_NAMES = {number(ABIS[ABI].name, call): call for call in OPENING}
_FILTER_MODE = 2


@dataclass
class _Judged:
    """What was last said of one call's names."""

    names: tuple[str, ...] = ()
    refused: bool = False


@dataclass
class Broker:
    """Answers everybody who holds the other end of `channel`, each in a thread of its own: an open
    that waits keeps nobody else waiting.
    """

    channel: socket.socket
    tree: Node
    log: EventLog
    _decided: int = 0
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def serve(self) -> None:
        """Until nobody is left who could ask."""
        self.log.never_wait()
        while (question := next_question(self.channel)) is not None:
            take(question)
            if question.call == BEGUN:
                self._begin(question)
                continue
            try:
                threading.Thread(target=self._answer, args=(question,), daemon=True).start()
            except RuntimeError:  # no more threads
                answer(question, -errno.EAGAIN)
        self.log.emit(EventKind.END, decisions=self._decided)

    def _begin(self, question: Question) -> None:
        """The filter is on, says the kernel, before anything of the program has run."""
        mode = seccomp.status(question.pid).mode
        if mode == _FILTER_MODE:
            self.log.emit(
                EventKind.ENFORCING,
                mechanism=PreparedName.BROKER,
                pid=question.pid,
                supervisor=os.getpid(),
                mode=mode,
            )
        answer(question, 0 if mode == _FILTER_MODE else -errno.EPERM)

    def _answer(self, question: Question) -> None:
        with self._counting:
            self._decided += 1
        try:
            result = self._opened(question)
        except (TargetGone, OutOfReach):
            result = -errno.EACCES
        answer(question, result)

    def _opened(self, question: Question) -> int:
        """A descriptor of what the task may open, or -errno."""
        call = _NAMES.get(question.call)
        if call is None:
            return -errno.ENOSYS
        wanted, said = _kinds(question.flags), _Judged()

        def judge(names: tuple[str, ...], missing: int) -> int:
            said.names = names
            said.refused = not names or any(wanted - self.tree.permitted(n) for n in names)
            return errno.EACCES if said.refused else 0

        view = View(_task(question), question.pid)
        result = open_judged(
            view,
            question.dirfd,
            question.name,
            question.flags,
            question.mode,
            judge,
            resolve=question.resolve if call == "openat2" else None,
        )
        if said.refused:
            self.log.emit(
                EventKind.DECISION,
                action=Action.DENY.value,
                call=call,
                pid=question.pid,
                values={"filename": list(said.names)},
            )
        return result


def _kinds(flags: int) -> frozenset[Access]:
    """What is asked for by flags of open(2); a look (O_PATH) is reading."""
    access = flags & os.O_ACCMODE
    kinds = set()
    if access != os.O_WRONLY or flags & os.O_PATH:
        kinds.add(Access.READ)
    if (access != os.O_RDONLY or flags & (os.O_CREAT | os.O_TRUNC)) and not flags & os.O_PATH:
        kinds.add(Access.WRITE)
    return frozenset(kinds)


def _task(question: Question) -> int:
    """The task that asks: its word is taken for one of its own process only."""
    try:
        os.stat(f"{question.pid}/task/{question.tid}", dir_fd=procfs.root())
    except OSError:
        return question.pid
    return question.tid

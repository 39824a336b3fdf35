"""Acting with a task's ids, groups and capabilities where they are not the supervisor's own.

A thread takes the task's file-system identity for one call. What is only about looking at the
task (its descriptors, its memory) is still done with the supervisor's rights.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import NamedTuple, TypeVar, cast

from enforcer.kernel.credentials import (
    set_acting_ids,
    set_effective_capabilities,
    set_groups,
)

T = TypeVar("T")


class OutOfReach(Exception):
    """The supervisor cannot take on the task's rights, so it does nothing for it; says why."""


class Identity(NamedTuple):
    """Who a task is to the file system, from /proc/TID/status and ns/.

    `uids` and `gids` are the real, effective, saved and file-system ids, as the supervisor's user
    namespace numbers them. `namespace` is the user namespace, `others` are the further ones that
    decide what an act means (see deputy.JOINED); empty where they cannot be seen.
    """

    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    effective: int
    permitted: int
    namespace: str
    others: tuple[str, ...] = ()

    def real(self) -> Identity:
        """The identity that access(2) asks about: real ids, and capabilities for root only."""
        effective = 0 if self.uids[0] else self.permitted
        return self._replace(
            uids=(*self.uids[:3], self.uids[0]),
            gids=(*self.gids[:3], self.gids[0]),
            effective=effective,
        )


def parse_identity(
    fields: Mapping[bytes, bytes], namespace: str, others: tuple[str, ...] = ()
) -> Identity:
    """From the fields of /proc/TID/status and the targets of links in /proc/TID/ns."""
    return Identity(
        uids=tuple(map(int, fields[b"Uid"].split())),
        gids=tuple(map(int, fields[b"Gid"].split())),
        groups=tuple(map(int, fields[b"Groups"].split())),
        effective=int(fields[b"CapEff"], 16),
        permitted=int(fields[b"CapPrm"], 16),
        namespace=namespace,
        others=others,
    )


class _Acting(threading.local):
    """Whose rights the current thread acts with, and for which thread; None: its own, itself.

    `is_any`: it acts for another at all. Every held call asks that, and to look into what a thread
    has of its own takes as long as a call of a function, once for each attribute.
    """

    is_any = False
    identity: Identity | None = None
    own: Identity | None = None
    asking: Asking | None = None
    deputy: object = None

    def changes(self) -> None:
        """Something of it was just set."""
        self.is_any = not (self.identity is None and self.asking is None and self.deputy is None)


_acting = _Acting()


def is_acting() -> bool:
    """Whether the current thread acts with the rights of a task."""
    return _acting.is_any


def acting_deputy() -> object:
    """The deputy by which the current thread acts (see deputy.py), or None."""
    return _acting.deputy


@contextmanager
def becomes(deputy: object, pidfd: int, identity: Identity | None = None) -> Iterator[None]:
    """The current thread acts by a deputy, or it is one and has taken `identity` on for ever."""
    own = threading.get_ident()
    _acting.deputy, _acting.identity = deputy, identity
    _acting.changes()
    _deputed[own] = pidfd
    try:
        yield
    finally:
        _acting.deputy = _acting.identity = None
        _acting.changes()
        del _deputed[own]


def has_other_ids() -> bool:
    """Whether these are other ids than the supervisor's."""
    return _acting.identity is not None


class Asking:
    """What a thread that acts elsewhere asks of the thread that had it begun, which waits for it.

    `thread` is the acting one as pthread_kill means it, 0 before it runs.
    """

    def __init__(self) -> None:
        self.thread = 0
        self._asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def serve(self) -> None:
        """Do what is asked, in the thread that waits, until the end."""
        _waiting[threading.get_ident()] = self
        try:
            while (job := self._asked.get()) is not None:
                job()
        finally:
            del _waiting[threading.get_ident()]

    def end(self) -> None:
        """The act is over."""
        self._asked.put(None)

    def ask(self, look: Callable[[], T]) -> T:
        """What `look` gives in the waiting thread; its exception is raised here."""
        answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

        def job() -> None:
            try:
                answers.put((look(), None))
            except BaseException as error:
                answers.put((None, error))

        self._asked.put(job)
        found, error = answers.get()
        if error is not None:
            raise error
        return cast(T, found)


_waiting: dict[int, Asking] = {}


@contextmanager
def stand_in(asking: Asking) -> Iterator[None]:
    """The current thread acts for the one that serves `asking`."""
    asking.thread = threading.get_ident()
    _acting.asking = asking
    _acting.changes()
    try:
        yield
    finally:
        _acting.asking = None
        _acting.changes()


_deputed: dict[int, int] = {}
"""Pidfds of deputies by the thread for which they act."""


def interrupt(waiting: int, number: int) -> None:
    """Send a signal to whoever acts for thread `waiting` (as pthread_kill means it)."""
    asking = _waiting.get(waiting)
    acting = waiting if asking is None else asking.thread or waiting
    pidfd = _deputed.get(acting)
    if pidfd is None:
        signal.pthread_kill(acting, number)
    else:
        with suppress(OSError):
            signal.pidfd_send_signal(pidfd, number)


def as_supervisor(look: Callable[[], T]) -> T:
    """What `look`, which only looks at a task, gives with all rights of the supervisor."""
    if _acting.asking is not None:
        return _acting.asking.ask(look)
    identity, own = _acting.identity, _acting.own
    if identity is None or own is None:
        return look()
    set_effective_capabilities(own.permitted, own.permitted)
    try:
        return look()
    finally:
        if set_effective_capabilities(identity.effective & own.permitted, own.permitted) < 0:
            os._exit(70)  # never go on with more rights than the task has


def acting_user() -> int:
    """The file-system user id that the current thread walks names with."""
    identity = _acting.identity
    return os.geteuid() if identity is None else identity.uids[3]


def act_as(identity: Identity, own: Identity, act: Callable[[], int]) -> int:
    """What `act` returns, done with the task's identity, of the supervisor's own namespaces.

    The current thread takes it on and off again: raw calls change the credentials of one thread
    (the C library's change them all). Raises OutOfReach where it cannot.
    """
    if identity.namespace != own.namespace:
        raise OutOfReach("its ids and capabilities are of another user namespace")
    has_other_groups = identity.groups != own.groups
    if has_other_groups and set_groups(identity.groups):
        raise OutOfReach("its supplementary groups cannot be taken on")
    try:
        if set_acting_ids(identity.uids, identity.gids, own.permitted):
            raise OutOfReach("its ids cannot be taken on")
        if set_effective_capabilities(identity.effective & own.permitted, own.permitted):
            raise OutOfReach("its capabilities cannot be taken on")
        _acting.identity, _acting.own = identity, own
        _acting.changes()
        return act()
    finally:
        _acting.identity = _acting.own = None
        _acting.changes()
        if (
            set_effective_capabilities(own.permitted, own.permitted)
            or set_acting_ids(own.uids, own.gids, own.permitted)
            or (has_other_groups and set_groups(own.groups))
            or set_effective_capabilities(own.effective, own.permitted)
        ):
            os._exit(70)  # never go on as somebody else

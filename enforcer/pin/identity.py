"""Acting with a task's ids, groups and capabilities where they are not the supervisor's own.

A thread of its own takes the task's file-system identity for one call. What is only about looking
at the task (its descriptors, its memory) is still done with the supervisor's rights.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from errno import EPERM
from typing import NamedTuple

from enforcer.kernel.credentials import set_effective_capabilities, set_file_ids


class Identity(NamedTuple):
    """Who a task is to the file system, from /proc/TID/status and ns/user.

    `uids` and `gids` are the real, effective, saved and file-system ids, as the supervisor's user
    namespace numbers them.
    """

    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    effective: int
    permitted: int
    namespace: str

    def real(self) -> Identity:
        """The identity that access(2) asks about: real ids, and capabilities for root only."""
        effective = 0 if self.uids[0] else self.permitted
        return self._replace(
            uids=(*self.uids[:3], self.uids[0]),
            gids=(*self.gids[:3], self.gids[0]),
            effective=effective,
        )


def parse_identity(fields: Mapping[bytes, bytes], namespace: str) -> Identity:
    """From the fields of /proc/TID/status and the target of /proc/TID/ns/user."""
    return Identity(
        uids=tuple(map(int, fields[b"Uid"].split())),
        gids=tuple(map(int, fields[b"Gid"].split())),
        groups=tuple(map(int, fields[b"Groups"].split())),
        effective=int(fields[b"CapEff"], 16),
        permitted=int(fields[b"CapPrm"], 16),
        namespace=namespace,
    )


class _Acting(threading.local):
    """The identity that the current thread acts with; None: the supervisor's own."""

    identity: Identity | None = None
    own: Identity | None = None


_acting = _Acting()


def is_acting() -> bool:
    """Whether the current thread acts with the identity of a task."""
    return _acting.identity is not None


@contextmanager
def own_rights() -> Iterator[None]:
    """The supervisor's own capabilities for the time of a `with`, to look at the task itself."""
    identity, own = _acting.identity, _acting.own
    if identity is None or own is None:
        yield
        return
    set_effective_capabilities(own.permitted, own.permitted)
    try:
        yield
    finally:
        if set_effective_capabilities(identity.effective & own.permitted, own.permitted) < 0:
            os._exit(70)  # never go on with more rights than the task has


def act_as(identity: Identity, own: Identity, act: Callable[[], int]) -> int:
    """What `act` returns, done with the task's identity; -EPERM where that cannot be assumed.

    An exception of `act` is raised here.
    """
    if identity.namespace != own.namespace:
        return -EPERM
    result = -EPERM
    errors: list[BaseException] = []
    groups = identity.groups if identity.groups != own.groups else None

    def run() -> None:
        nonlocal result
        if set_file_ids(identity.uids[3], identity.gids[3], groups) < 0:
            return
        if set_effective_capabilities(identity.effective & own.permitted, own.permitted) < 0:
            return
        _acting.identity, _acting.own = identity, own
        try:
            result = act()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result

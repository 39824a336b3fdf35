"""Acting for a task with other ids than its own, where a rule says so (`permit ... as root`).

The task never has them: they are taken on by the thread, or the deputy, that carries one call out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from enforcer.call import Elevation
from enforcer.pin.identity import Identity, OutOfReach


class Acted(Protocol):
    """A task as whoever acts for it knows it (see View)."""

    elevation: Elevation | None


def elevated(who: Identity, elevation: Elevation, own: Identity) -> Identity:
    """The identity of a task, as an elevation changes it.

    As seteuid(2) and setegid(2) would, so supplementary groups stay; `root` brings the
    capabilities that the supervisor (`own`) has, and any other user none. Raises OutOfReach for a
    task of another user namespace: whoever is root there made it, and nobody gave it these ids.
    """
    if who.namespace != own.namespace:
        raise OutOfReach("a task of another user namespace is not given other ids")
    if elevation.gid is not None:
        who = who._replace(gids=(elevation.gid,) * 4)
    if elevation.uid is not None:
        capabilities = 0 if elevation.uid else own.permitted
        who = who._replace(
            uids=(elevation.uid,) * 4, effective=capabilities, permitted=capabilities
        )
    return who


@contextmanager
def acting_with(view: Acted, elevation: Elevation | None) -> Iterator[None]:
    """Acts for the task of `view` are done with these ids meanwhile."""
    view.elevation = elevation
    try:
        yield
    finally:
        view.elevation = None

"""Pidfds that are kept mean their task, or nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from errno import EBADF
from pathlib import Path

import pytest

from enforcer.kernel.pidfd import pidfd_open
from enforcer.pin import TargetGone, View
from enforcer.pin.pidfds import Pidfd, Pidfds
from tests.pin.target import Target

STANDARD_INPUT = 0


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with Target(tmp_path) as target:
        yield target


def viewed(target: Target) -> View:
    pidfds = Pidfds()
    return View(target.pid, target.pid, fixed_root=True, fixed_credentials=True, pidfds=pidfds)


def test_one_serves_for_the_next_descriptor_too(target: Target) -> None:
    """Without another look at whose call it is; what the task has not is EBADF."""
    view = viewed(target)
    os.close(view.duplicate(STANDARD_INPUT))
    assert view.pidfds is not None
    (kept,) = view.pidfds.values()
    view.validate = pytest.fail
    os.close(view.duplicate(STANDARD_INPUT))
    assert view.duplicate(99) == -EBADF
    assert list(view.pidfds.values()) == [kept]


def test_a_number_is_another_task_later(target: Target) -> None:
    """The pidfd of the one that had the number before serves no longer."""
    view = viewed(target)
    ended = os.fork()
    if ended == 0:
        os._exit(0)
    pidfd = Pidfd(pidfd_open(ended))
    os.waitpid(ended, 0)
    assert view.pidfds is not None
    view.pidfds.keep(target.pid, pidfd)
    own = view.duplicate(STANDARD_INPUT)
    assert own >= 0
    os.close(own)
    assert view.pidfds[target.pid] is not pidfd


def test_one_of_a_call_that_is_over_is_not_kept(target: Target) -> None:
    """The number may have become another task's before the pidfd was made."""
    view = viewed(target)

    def refuse() -> None:
        raise TargetGone("not held")

    view.validate = refuse
    with pytest.raises(TargetGone):
        view.duplicate(STANDARD_INPUT)
    assert not view.pidfds


def test_so_many_are_kept(target: Target) -> None:
    """Each is a descriptor of the supervisor's."""
    pidfds = Pidfds()
    pidfd = Pidfd(pidfd_open(target.pid))
    for tid in range(1000):
        pidfds.keep(tid, pidfd)
    assert len(pidfds) <= 256

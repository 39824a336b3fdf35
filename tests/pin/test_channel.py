"""What a deputy and its supervisor say to each other."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread

import pytest

from enforcer.pin.channel import Deputed, Hung, Supervising, Value


class Watched(Deputed):
    """A deputy's end that looks, before each word, at which of `watched` are still open here."""

    def __init__(self, end: socket.socket, watched: Sequence[int]) -> None:
        super().__init__(end)
        self._watched = watched
        self.seen: list[tuple[Value, int]] = []

    def say(self, *word: Value, descriptors: Sequence[int] = ()) -> None:
        self.seen.append((word[0], sum(map(_is_open, self._watched))))
        super().say(*word, descriptors=descriptors)


def _is_open(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").exists()


def _open_here() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_is_given_is_closed_before_the_task_can_go_on(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Else the task could not unmount where it has just closed a file (EBUSY)."""
    given, received = os.open("/", os.O_PATH), os.open("/", os.O_PATH)
    deputy = Watched(ends[1], (given, received))
    deputy.finish(7, [given], [received])
    value, got = Supervising(ends[0]).serve({})
    assert (value, len(got)) == (7, 1)
    os.close(got[0])
    assert deputy.seen == [("gives", 2), ("done", 0)]


def _refused(deputy: Deputed) -> None:
    deputy.say("gives", descriptors=[0])
    deputy.say("gives", descriptors=[0])


def _unknown(deputy: Deputed) -> None:
    deputy.say("gives", descriptors=[0])
    deputy.say("nobody knows this", descriptors=[0])


def _gone(deputy: Deputed) -> None:
    deputy.say("gives", descriptors=[0])
    deputy.close()


@pytest.mark.parametrize("act", [_refused, _unknown, _gone])
def test_nothing_stays_open_of_a_deputy_that_goes_wrong(
    ends: tuple[socket.socket, socket.socket], act: Callable[[Deputed], None]
) -> None:
    """Descriptors that came before are closed, and the deputy is taken for gone."""
    act(Deputed(ends[1]))
    ends[1].close()
    before = _open_here()
    with pytest.raises(Hung):
        Supervising(ends[0]).serve({})
    assert _open_here() == before


def test_a_question_is_answered_with_what_goes_with_it(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """The deputy gets a value and descriptors, or the errno that the supervisor met."""

    def look(name: Value) -> tuple[Value, Sequence[int]]:
        assert isinstance(name, str)
        return "found", [os.open(name, os.O_PATH)]

    deputy, answers = Deputed(ends[1]), []

    def ask() -> None:
        value, given = deputy.ask("look", "/")
        answers.append((value, os.path.samestat(os.fstat(given[0]), Path("/").stat())))
        with pytest.raises(FileNotFoundError):
            deputy.ask("look", "/nothing/here")
        deputy.finish(0, given, ())

    thread = Thread(target=ask)
    thread.start()
    value, given = Supervising(ends[0]).serve({"look": look})
    thread.join()
    os.close(given[0])
    assert (value, answers) == (0, [("found", True)])

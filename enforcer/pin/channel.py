"""What a supervisor and its deputy say to each other: values and descriptors over one socket.

The supervisor's words are pickled; the deputy's are literals, for it lives among the targets, and
nothing that comes from there may be able to run code here.
"""

from __future__ import annotations

import array
import ast
import os
import pickle
import select
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from struct import Struct

_LENGTH = Struct("=I")
_MOST_DESCRIPTORS = 253  # SCM_MAX_FD
_MOST_BYTES = 1 << 26

Value = object
Answer = tuple[Value, Sequence[int]]
"""A value, and descriptors that go with it."""
Question = Callable[..., Answer]


class Hung(Exception):
    """The other end is gone."""


class Channel:
    """One end of the socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def close(self) -> None:
        """The other end sees the end of the stream."""
        self._end.close()

    def _send(self, data: bytes, descriptors: Sequence[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            sent = self._end.sendmsg([_LENGTH.pack(len(data)), data], rights if descriptors else [])
            rest = memoryview(data)[max(sent - _LENGTH.size, 0) :]
            if rest:
                self._end.sendall(rest)
        except OSError as error:
            raise Hung from error

    def _receive(self) -> tuple[bytes, list[int]]:
        try:
            head, descriptors, _, _ = socket.recv_fds(
                self._end, _LENGTH.size, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
            if len(head) < _LENGTH.size:
                raise Hung
            (length,) = _LENGTH.unpack(head)
            data = bytearray()
            while len(data) < min(length, _MOST_BYTES):
                part = self._end.recv(length - len(data))
                if not part:
                    raise Hung
                data += part
        except OSError as error:
            raise Hung from error
        return bytes(data), list(descriptors)


class Supervising(Channel):
    """The supervisor's end."""

    def hear(self) -> tuple[tuple[Value, ...], list[int]]:
        """The deputy's next word: a tuple of literals, and descriptors. Raises Hung."""
        data, descriptors = self._receive()
        try:
            word = ast.literal_eval(data.decode())
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            _close(descriptors)
            raise Hung from error
        if not isinstance(word, tuple) or not word:
            _close(descriptors)
            raise Hung
        return word, descriptors

    def tell(self, value: Value, descriptors: Sequence[int] = ()) -> None:
        """Send anything. Raises Hung."""
        self._send(pickle.dumps(value), descriptors)

    def serve(self, questions: Mapping[str, Question]) -> tuple[Value, list[int]]:
        """Answer what the deputy asks until it is done: its result and descriptors of ours.

        `questions` give an answer, or raise OSError, whose errno is told. Raises Hung.
        """
        given: list[int] = []
        try:
            while True:
                word, descriptors = self.hear()
                kind, arguments = word[0], word[1:]
                if kind == "gives" and not given:
                    given = descriptors
                elif kind == "done" and len(arguments) == 1:
                    _close(descriptors)
                    return arguments[0], given
                else:
                    self._answer(questions, kind, (*arguments, *descriptors), descriptors)
        except BaseException:
            _close(given)
            raise

    def _answer(
        self,
        questions: Mapping[str, Question],
        kind: Value,
        arguments: Sequence[Value],
        descriptors: Collection[int],
    ) -> None:
        try:
            if not isinstance(kind, str) or kind not in questions:
                raise Hung
            value, given = questions[kind](*arguments)
            self.tell((True, value), given)
            _close(given)
        except OSError as error:
            self.tell((False, error.errno))
        finally:
            _close(descriptors)


class Deputed(Channel):
    """The deputy's end."""

    def say(self, *word: Value, descriptors: Sequence[int] = ()) -> None:
        """Send literals and descriptors. Raises Hung."""
        self._send(repr(word).encode(), descriptors)

    def finish(self, value: Value, given: Sequence[int], kept: Sequence[int]) -> None:
        """The result of what was told; `given` goes with it, and all of `kept` is closed.

        Nothing of it may still be open here when the supervisor knows, and lets the task go on:

            deputy    gives fd . closes its own . done
            task                                        goes on, closes, unmounts: not EBUSY

        Raises Hung.
        """
        if given:
            self.say("gives", descriptors=given)
        _close({*given, *kept})
        self.say("done", value)

    def heed(self) -> tuple[Value, list[int]]:
        """The supervisor's next word. Raises Hung."""
        data, descriptors = self._receive()
        return pickle.loads(data), descriptors

    def wait_for_end(self) -> None:
        """Return when the supervisor's end is closed, whatever it has said before."""
        poller = select.poll()
        poller.register(self._end, 0)
        poller.poll()

    def ask(self, kind: str, *arguments: Value, descriptors: Sequence[int] = ()) -> Answer:
        """The supervisor's answer. Raises OSError with the errno that it tells, Hung."""
        self.say(kind, *arguments, descriptors=descriptors)
        word, given = self.heed()
        assert isinstance(word, tuple)
        is_answered, value = word
        if not is_answered:
            raise OSError(value, os.strerror(value))
        return value, given


def _close(descriptors: Collection[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)

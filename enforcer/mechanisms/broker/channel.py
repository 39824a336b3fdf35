"""What the stub asks its broker (struct question of stub.c), and what it is answered."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
from dataclasses import dataclass

BEGUN = -1
"""Instead of a call: the filter is on, and the program has not begun."""
TAKEN_S = 10
"""Who asks waits so long for a place in the channel, and so long again until it is taken."""
_QUESTION = struct.Struct("@iiiiLLL")
_ANSWER = struct.Struct("@l")
_CREDENTIALS = struct.Struct("@iII")
_TIMEVAL = struct.Struct("@ll")
_INT_BYTES = 4
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_INT_BYTES)
_NAME_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Question:
    """One call that a task of process `pid` makes, by its number on x86_64; `tid` is that task's
    own word. `answer_to` is the socket that the answer goes to, which the receiver closes.
    """

    call: int
    pid: int
    tid: int
    dirfd: int
    flags: int
    mode: int
    resolve: int
    name: bytes
    answer_to: socket.socket


def pair() -> tuple[socket.socket, socket.socket]:
    """The broker's end, which tells of each question who asks, and the target's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    # Of the socket, so it stays over execve: who asks a broker that is stopped waits no longer.
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(TAKEN_S, 0))
    return ours, theirs


def next_question(channel: socket.socket) -> Question | None:
    """The next one that can be answered; None once everybody who could ask is gone."""
    while True:
        data, control, _, _ = channel.recvmsg(_QUESTION.size + _NAME_BYTES, _ROOM)
        if not data and not control:
            return None
        pid, given = 0, array.array("i")
        for _, kind, content in control:
            if kind == socket.SCM_CREDENTIALS:
                pid = _CREDENTIALS.unpack_from(content)[0]
            elif kind == socket.SCM_RIGHTS:
                given.frombytes(content[: len(content) - len(content) % _INT_BYTES])
        for more in given[1:]:
            os.close(more)
        if not given:
            continue
        answer_to = _socket(given[0])
        if answer_to is None:
            continue
        if len(data) < _QUESTION.size or not pid:
            answer_to.close()
            continue
        call, tid, dirfd, _, flags, mode, resolve = _QUESTION.unpack_from(data)
        return Question(
            call=call,
            pid=pid,
            tid=tid,
            dirfd=dirfd,
            flags=flags,
            mode=mode,
            resolve=resolve,
            name=data[_QUESTION.size :].partition(b"\0")[0],
            answer_to=answer_to,
        )


def take(question: Question) -> None:
    """Say that the broker has the question: its answer may take as long as the open does."""
    with contextlib.suppress(OSError):  # who asked is gone
        question.answer_to.send(_ANSWER.pack(0), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)


def answer(question: Question, result: int) -> None:
    """A descriptor, which is closed here, or -errno; or 0 for what opens nothing."""
    given = [] if result < 0 or question.call == BEGUN else [result]
    try:
        packet = _ANSWER.pack(min(result, 0))
        flags = socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
        socket.send_fds(question.answer_to, [packet], given, flags)
    except OSError:
        return  # who asked is gone, or does not want to hear
    finally:
        question.answer_to.close()
        for descriptor in given:
            os.close(descriptor)


def _socket(descriptor: int) -> socket.socket | None:
    """The descriptor as a socket, if it is one; else it is closed."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None

"""Who says that a supervisor was killed: it cannot do so itself, and the command may be gone too.

A process of its own that waits at the other end of a pipe. It decides nothing and writes no log.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from enforcer.events import EventKind, NullLog
from enforcer.kernel.prctl import forbid_dumping, set_name
from enforcer.logs.voice import Voice
from enforcer.supervision.desk import LEFT_ALONE

_BEGUN = b"+"
_OVER = b"."


class Herald(NullLog):
    """As a log it keeps nothing: it hears of a supervisor's beginning and end.

    That the console went away, which concerns whoever waits for an answer, it says as well.
    `consequence`: what becomes of the command when the supervisor is killed. Made by the process
    that becomes the command, before there are threads.
    """

    def __init__(self, voice: Voice, consequence: str, *, outlives: bool = False) -> None:
        """`outlives`: no process becomes the command; standard error is held until the end."""
        self._voice = voice
        reader, self._writer = os.pipe()
        command = 0 if outlives else os.getpid()
        middle = os.fork()
        if middle == 0:
            _detach(reader, voice, command, consequence)
        os.close(reader)
        os.waitpid(middle, 0)

    def emit(self, kind: EventKind, **fields: object) -> None:
        if kind is EventKind.DETECTION and fields["reason"] == LEFT_ALONE:
            self._voice.say(LEFT_ALONE)
        word = {EventKind.ENFORCING: _BEGUN, EventKind.END: _OVER}.get(kind)
        if word is not None:
            try:
                os.write(self._writer, word)
            except OSError:  # it is gone: nobody will say it
                return

    def descriptors(self) -> tuple[int, ...]:
        return (self._writer, *self._voice.descriptors())

    def never_wait(self) -> None:
        self._voice.begin()


def _detach(reader: int, voice: Voice, command: int, consequence: str) -> NoReturn:
    """No child of the command's, and out of its terminal's reach."""
    try:
        os.setsid()
        if os.fork() == 0:
            _wait(reader, voice, command, consequence)
    finally:
        os._exit(0)


def _wait(reader: int, voice: Voice, command: int, consequence: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    low = 0
    for descriptor in sorted({reader, voice.fd} - {-1}):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 0x7FFF_FFFF)
    set_name("herald")
    forbid_dumping()
    os.chdir("/")
    voice.begin(command)
    heard = b""
    while word := os.read(reader, 64):
        heard += word
    if heard.endswith(_BEGUN):
        voice.say(f"the supervisor was killed: {consequence}")

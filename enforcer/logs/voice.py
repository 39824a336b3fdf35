"""What a log cannot take is said where somebody sees it: on the standard error of the command line.

The supervisor holds a duplicate of that, until a moment after the command has ended; whoever waits
for the end of a pipe must not wait for a daemon. From then on the system's log is told.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import threading
from contextlib import suppress
from pathlib import Path

from enforcer.events import printable
from enforcer.outbox import Outbox

LOCAL = Path("/dev/log")
PRIORITY = 10 * 8 + 4
"""authpriv, warning (RFC 5424, section 6.2.1)."""

_LINGER_MS = 2000
_LAST_WORD_S = 0.2


class LocalSocket:
    """The socket of syslog(3). Nobody waits for it."""

    def __init__(self, path: Path = LOCAL) -> None:
        self.path = path
        self._socket: socket.socket | None = None

    def send(self, line: str) -> str | None:
        """Why it was not taken; None: it was."""
        text = f"<{PRIORITY}>enforcer[{os.getpid()}]: {line}".encode("utf-8", "backslashreplace")
        failure = self.connect()
        if failure is None and self._socket is not None:
            try:
                self._socket.send(text)
            except OSError as error:
                self.close()
                return error.strerror
        return failure

    def connect(self) -> str | None:
        """Why it cannot be reached; None: it was."""
        if self._socket is not None:
            return None
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.setblocking(False)
        try:
            made.connect(str(self.path))
        except OSError as error:
            made.close()
            return error.strerror
        self._socket = made
        return None

    def close(self) -> None:
        """Whoever sends next connects anew."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Voice:
    """Standard error as it was when this was made; lines of it never wait."""

    def __init__(self) -> None:
        self.fd = -1
        self.has_lost = False
        """Whether a log lacks something in the end."""
        with suppress(OSError):
            self.fd = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 3)
        self._command = 0
        self._outbox: Outbox | None = None
        self._lock = threading.Lock()

    def descriptors(self) -> tuple[int, ...]:
        """What a supervisor must keep; asked by the process that becomes the command."""
        self._command = os.getpid()
        return () if self.fd < 0 else (self.fd,)

    def begin(self, command: int | None = None) -> None:
        """In the supervisor: from now on there is something to say, until `command` has ended."""
        if self._outbox is not None or self.fd < 0:
            return
        self._outbox = Outbox(self.fd, lambda count: b"")
        if command is not None:
            self._command = command
        if self._command:
            threading.Thread(target=self._watch, name="voice", daemon=True).start()

    def say(self, text: str) -> None:
        """One line."""
        line = printable(text)
        with self._lock:
            if self._outbox is not None:
                self._outbox.put(f"enforcer: {line}\n".encode("utf-8", "backslashreplace"))
                self._outbox.drain(_LAST_WORD_S)
                if not self._outbox.missing:
                    return
        LocalSocket().send(line)

    def _watch(self) -> None:
        _wait_for(self._command)
        with self._lock:
            self._outbox = None
            os.close(self.fd)
            self.fd = -1


def _wait_for(pid: int) -> None:
    """Return a moment after a process has ended."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            poller.poll()
        finally:
            os.close(pidfd)
    select.poll().poll(_LINGER_MS)


class LogComplaint:
    """What is said of one log: once that it takes nothing, and in the end how much it lacks."""

    def __init__(self, voice: Voice, name: str) -> None:
        self._voice = voice
        self._name = name
        self._has_begun = False

    def descriptors(self) -> tuple[int, ...]:
        return self._voice.descriptors()

    def ready(self) -> None:
        self._voice.begin()

    def begins(self, reason: str) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._voice.say(f"{self._name}: {reason}; events are missing there until it takes them")

    def ends(self, reason: str, count: int) -> None:
        self._voice.has_lost = True
        events = "1 event is" if count == 1 else f"{count} events are"
        self._voice.say(f"{self._name}: {events} missing there: {reason}")

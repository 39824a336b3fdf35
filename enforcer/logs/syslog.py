"""Events for syslog: the one of this machine, and a central host by RFC 5424.

A host that is away holds up nobody: what cannot be sent is kept, up to a bound, and then counted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import socket
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from enforcer.events import Complaint, EventKind, printable
from enforcer.logs.line import line_of
from enforcer.logs.voice import LOCAL, PRIORITY, LocalSocket

MOST_KEPT = 4096
"""Messages kept for a host that is away."""

LAST_WORD_S = 1.0
"""How long the end of a sandbox waits for the last of them."""

_AGAIN_S = 0.2
_LOOK_S = 0.1
_TIMEOUT_S = 2.0
_ADDRESS = re.compile(r"(?P<kind>udp|tcp)://(?:\[(?P<six>[^]]+)\]|(?P<host>[^:/]+)):(?P<port>\d+)")
_PARAMETERS = ("action", "call", "program", "rule", "file", "line")
_ENTERPRISE = "decision@32473"
"""The enterprise number that RFC 5612 keeps for examples."""


@dataclass(frozen=True)
class Host:
    """`udp://HOST:PORT` or `tcp://HOST:PORT`; an address of IPv6 in brackets."""

    is_stream: bool
    name: str
    port: int

    def __str__(self) -> str:
        return f"{'tcp' if self.is_stream else 'udp'}://{self.name}:{self.port}"


def parse_host(text: str) -> Host:
    """Raises ValueError."""
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ValueError(f"{text!r} is no syslog host; write udp://HOST:514 or tcp://HOST:601")
    return Host(found["kind"] == "tcp", found["six"] or found["host"], int(found["port"]))


def message(kind: EventKind, fields: Mapping[str, object], line: str) -> bytes:
    """An event as RFC 5424 has it: header, structured data, systrace's line."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    host = re.sub(r"[^!-~]", "-", socket.gethostname())[:255] or "-"
    told = [
        f'{name}="{_escaped(fields[name])}"'
        for name in _PARAMETERS
        if kind is EventKind.DECISION and fields.get(name) is not None
    ]
    data = f"[{_ENTERPRISE} {' '.join(told)}]" if told else "-"
    header = f"<{PRIORITY}>1 {now} {host} enforcer {os.getpid()} {kind}"
    return f"{header} {data} \ufeff{line}".encode("utf-8", "backslashreplace")


def _escaped(text: object) -> str:
    """A parameter's value (section 6.3.3), control characters spelt out."""
    return re.sub(r'(["\\\]])', r"\\\1", printable(str(text)))


class LocalSyslog:
    """The system's own log, as syslog(3) writes to it.

    What it does not take (it is full, or away) is kept, up to a bound, and sent with the next.
    """

    def __init__(self, path: Path = LOCAL, complaint: Complaint | None = None) -> None:
        self._socket = LocalSocket(path)
        self._complaint = complaint
        self._kept: deque[str] = deque()
        self._lost = 0

    def emit(self, kind: EventKind, **fields: object) -> None:
        line = line_of(kind, fields)
        if line is not None and len(self._kept) < MOST_KEPT:
            self._kept.append(line)
        elif line is not None:
            self._lost += 1
        failure = self._flush()
        if kind is EventKind.END:
            self._socket.close()
        if self._complaint is None or failure is None:
            return
        if kind is EventKind.END:
            self._complaint.ends(failure, len(self._kept) + self._lost)
        else:
            self._complaint.begins(failure)

    def _flush(self) -> str | None:
        """Why something is left; None: nothing is."""
        if self._kept and self._lost:
            reason = f"{self._lost} events were lost for want of room"
            line = line_of(EventKind.DETECTION, {"reason": reason, "events": self._lost}) or ""
            failure = self._sent(line)
            if failure is not None:
                return failure
            self._lost = 0
        while self._kept:
            failure = self._sent(self._kept[0])
            if failure is not None:
                return failure
            self._kept.popleft()
        return None

    def _sent(self, line: str) -> str | None:
        """A syslog that was begun anew has another socket under the name."""
        return self._socket.send(line) and self._socket.send(line)

    def descriptors(self) -> tuple[int, ...]:
        return () if self._complaint is None else self._complaint.descriptors()

    def never_wait(self) -> None:
        """The supervisor has a socket of its own: descriptors of the launcher's are closed."""
        self._socket = LocalSocket(self._socket.path)
        if self._complaint is not None:
            self._complaint.ready()
            failure = self._socket.connect()
            if failure is not None:
                self._complaint.begins(failure)


class RemoteSyslog:
    """A central host. A thread of the supervisor's sends; `lost` counts what it never could.

    By TCP a message has been taken when its bytes are acknowledged (SIOCOUTQ, tcp(7)); by UDP the
    last one is sent again when the host says that nobody was there (ECONNREFUSED, udp(7)).
    """

    def __init__(self, host: Host, complaint: Complaint | None = None) -> None:
        self.host = host
        self.lost = 0
        self._complaint = complaint
        self._told = 0
        self._kept: deque[bytes] = deque()
        self._unsure: deque[bytes] = deque()
        self._failure = "it did not take them in time"
        self._changed = threading.Condition()
        self._is_over = False
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def descriptors(self) -> tuple[int, ...]:
        return () if self._complaint is None else self._complaint.descriptors()

    def never_wait(self) -> None:
        """Begin to send; a thread does not outlive the forks of a launch."""
        if self._complaint is not None:
            self._complaint.ready()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._send_all, name="syslog", daemon=True)
        self._thread.start()

    def emit(self, kind: EventKind, **fields: object) -> None:
        line = line_of(kind, fields)
        if line is not None:
            self._put(message(kind, fields, line))
        if kind is EventKind.END:
            self.finish()

    def finish(self) -> None:
        """Send what is left, for a moment; what stays is lost."""
        thread = self._thread
        with self._changed:
            self._is_over = True
            self._changed.notify()
        if thread is not None:
            thread.join(LAST_WORD_S)
        with self._changed:
            self.lost += len(self._kept) + len(self._unsure)
            self._kept.clear()
            self._unsure.clear()
        if self.lost > self._told and self._complaint is not None:
            self._complaint.ends(self._failure, self.lost - self._told)

    def _put(self, text: bytes) -> None:
        with self._changed:
            if len(self._kept) >= MOST_KEPT:
                self.lost += 1
                return
            self._kept.append(text)
            self._changed.notify()

    def _send_all(self) -> None:
        while True:
            with self._changed:
                if not self._kept and not self._is_over:
                    self._changed.wait(_LOOK_S if self._unsure else None)
            if not self._has_settled():
                time.sleep(_AGAIN_S)
                continue
            with self._changed:
                if not self._kept:
                    if self._is_over and not self._unsure:
                        self._close()
                        return
                    if self._is_over:
                        self._changed.wait(_LOOK_S)
                    continue
                text, lost = self._kept[0], self.lost
            if lost > self._told:
                reason = {"reason": f"{lost} events were lost for want of room", "events": lost}
                line = line_of(EventKind.DETECTION, reason) or ""
                if self._sent(message(EventKind.DETECTION, reason, line)):
                    self._told = lost
            if self._sent(text):
                with self._changed:
                    if self._kept and self._kept[0] is text:
                        self._unsure.append(self._kept.popleft())
            else:
                time.sleep(_AGAIN_S)

    def _has_settled(self) -> bool:
        """Forget what the host has, as far as can be told; False: what it has not is kept again."""
        made = self._socket
        if made is None or not self._unsure:
            return True
        if self.host.is_stream:
            self._forget_acknowledged(made)
            if not self._unsure or not _is_closed(made):
                return True
            self._failed(os.strerror(errno.ECONNRESET))
            return False
        poller = select.poll()
        poller.register(made, 0)
        poller.poll(0 if self._kept else 1000 * _LOOK_S)
        failure = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        with self._changed:
            last = self._unsure.pop()
            self._unsure.clear()
            if failure:
                self._kept.appendleft(last)
        if failure:
            self._failed(os.strerror(failure))
        return not failure

    def _forget_acknowledged(self, made: socket.socket) -> None:
        left = int.from_bytes(fcntl.ioctl(made, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        with self._changed:
            waiting = sum(len(_framed(text)) for text in self._unsure)
            while self._unsure and waiting - len(_framed(self._unsure[0])) >= left:
                waiting -= len(_framed(self._unsure.popleft()))

    def _sent(self, text: bytes) -> bool:
        """Whether the message went out; the connection is made anew where it did not."""
        try:
            if self._socket is None:
                self._socket = self._connected()
            elif self.host.is_stream and _is_closed(self._socket):
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            self._socket.sendall(_framed(text) if self.host.is_stream else text)
        except OSError as error:
            if self._socket is not None and self.host.is_stream:
                self._forget_acknowledged(self._socket)
            self._failed(error.strerror or str(error))
            return False
        return True

    def _failed(self, reason: str) -> None:
        """What it may not have is sent again, when the connection is made anew."""
        self._close()
        with self._changed:
            self._kept.extendleft(reversed(self._unsure))
            self._unsure.clear()
        self._failure = reason
        if self._complaint is not None:
            self._complaint.begins(reason)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        kind = socket.SOCK_STREAM if self.host.is_stream else socket.SOCK_DGRAM
        found = socket.getaddrinfo(self.host.name, self.host.port, type=kind)
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
        made.settimeout(_TIMEOUT_S)
        try:
            made.connect(address)
        except OSError:
            made.close()
            raise
        return made


def _framed(text: bytes) -> bytes:
    """Octet counting (RFC 6587, section 3.4.1): no text can end a message."""
    return b"%d %b" % (len(text), text)


def _is_closed(stream: socket.socket) -> bool:
    """Whether the other end has gone: a write would still succeed once.

    Python waits for a socket with a time-out before it makes the call, MSG_DONTWAIT or not.
    """
    poller = select.poll()
    poller.register(stream, select.POLLIN)
    if not poller.poll(0):
        return False
    try:
        return stream.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True

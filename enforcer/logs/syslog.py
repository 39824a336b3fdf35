"""Events for syslog: the one of this machine, and a central host by RFC 5424.

A host that is away holds up nobody: what cannot be sent is kept, up to a bound, and then counted.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from enforcer.events import EventKind, printable
from enforcer.logs.line import line_of

LOCAL = Path("/dev/log")
PRIORITY = 10 * 8 + 4
"""authpriv, warning (RFC 5424, section 6.2.1)."""

MOST_KEPT = 4096
"""Messages kept for a host that is away."""

LAST_WORD_S = 1.0
"""How long the end of a sandbox waits for the last of them."""

_AGAIN_S = 0.2
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
    """The system's own log, as syslog(3) writes to it. A full one loses the message, not time."""

    def __init__(self, path: Path = LOCAL) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def emit(self, kind: EventKind, **fields: object) -> None:
        if kind is EventKind.END:
            self._close()
        line = line_of(kind, fields)
        if line is None:
            return
        text = f"<{PRIORITY}>enforcer[{os.getpid()}]: {line}".encode("utf-8", "backslashreplace")
        for _ in range(2):  # a syslog that was begun anew has another socket under the name
            with suppress(OSError):
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    self._socket.setblocking(False)
                    self._socket.connect(str(self._path))
                self._socket.send(text)
                return
            self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def never_wait(self) -> None:
        """The supervisor has a socket of its own: descriptors of the launcher's are closed."""
        self._socket = None


class RemoteSyslog:
    """A central host. A thread of the supervisor's sends; `lost` counts what it never could."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.lost = 0
        self._told = 0
        self._kept: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._is_over = False
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def never_wait(self) -> None:
        """Begin to send; a thread does not outlive the forks of a launch."""
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
            self.lost += len(self._kept)
            self._kept.clear()

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
                while not self._kept and not self._is_over:
                    self._changed.wait()
                if not self._kept:
                    self._close()
                    return
                text, lost = self._kept[0], self.lost
            if self.lost > self._told:
                reason = {"reason": f"{lost} events were lost for want of room", "events": lost}
                line = line_of(EventKind.DETECTION, reason) or ""
                if self._sent(message(EventKind.DETECTION, reason, line)):
                    self._told = lost
            if self._sent(text):
                with self._changed:
                    if self._kept and self._kept[0] is text:
                        self._kept.popleft()
            else:
                time.sleep(_AGAIN_S)

    def _sent(self, text: bytes) -> bool:
        """Whether the message went out; the connection is made anew where it did not."""
        try:
            if self._socket is None:
                self._socket = self._connected()
            elif self.host.is_stream and _is_closed(self._socket):
                raise ConnectionResetError
            # Octet counting (RFC 6587, section 3.4.1): no text can end a message.
            self._socket.sendall(b"%d %b" % (len(text), text) if self.host.is_stream else text)
        except OSError:
            self._close()
            return False
        return True

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


def _is_closed(stream: socket.socket) -> bool:
    """Whether the other end has gone: a write would still succeed once."""
    try:
        return stream.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False

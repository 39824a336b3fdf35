"""systrace's line, syslog here and elsewhere: true, whole, and never in the way."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from enforcer.events import EventKind, FileLog
from enforcer.logs import syslog
from enforcer.logs.first import FirstRefusal
from enforcer.logs.line import systrace_line
from enforcer.logs.several import Several
from enforcer.logs.syslog import Host, LocalSyslog, RemoteSyslog, parse_host
from enforcer.logs.voice import Voice

EVENT: dict[str, object] = {
    "action": "deny",
    "would_be": None,
    "errno": 1,
    "call": "openat",
    "abi": "x86_64",
    "args": [0] * 6,
    "values": {"filename": ["/etc/shadow"], "oflags": ["ro"]},
    "absent": [],
    "policy": "/home/u/.systrace/usr_bin_cat",
    "rules": 7,
    "rule": None,
    "file": "",
    "line": None,
    "reason": "default",
    "pid": 12,
    "tid": 12,
    "ppid": 11,
    "uid": 0,
    "program": "/usr/bin/cat",
}


def test_the_line_is_systraces_own() -> None:
    """User, program, process, parent, supervisor, policy, filters, call and arguments."""
    assert systrace_line(EVENT) == (
        f"deny user: root, prog: /usr/bin/cat, pid: 12(11)[{os.getpid()}], "
        "policy: /home/u/.systrace/usr_bin_cat, filters: 7, syscall: native-openat(257), "
        "filename: /etc/shadow, oflags: ro, reason: default"
    )


class Heard(Voice):
    """A voice whose lines are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_where_there_is_no_log_the_first_refusal_is_said() -> None:
    """Once, and how to see the others; no permit is, nor an ENOSYS of the mechanism's own."""
    voice = Heard()
    log = FirstRefusal(voice)
    own = {"reason": "its flags lie in memory", "call": "clone3"}
    log.emit(EventKind.DECISION, **{**EVENT, "action": "permit"})
    log.emit(EventKind.DECISION, **{**EVENT, **own, "errno": 38})
    log.emit(EventKind.DETECTION, reason="a race")
    assert voice.lines == []
    log.emit(EventKind.DECISION, **{**EVENT, "errno": 38})
    first, more = voice.lines
    assert first == "denied: openat /etc/shadow by cat[12]: default"
    assert "--log -" in more
    log.emit(EventKind.DECISION, **EVENT)
    assert len(voice.lines) == 2


@pytest.mark.parametrize("name", ["/a\nforged", "/a\x1b[2J", "/a, prog: /bin/true", "/\u2028x"])
def test_no_name_forges_a_line_or_a_field(name: str) -> None:
    """Whatever a target calls a file, the line is one, and has as many fields."""
    line = systrace_line({**EVENT, "values": {"filename": [name], "oflags": ["ro"]}})
    assert line.isprintable()
    assert len(line.split(", ")) == len(systrace_line(EVENT).split(", "))


def _server(kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.bind(("127.0.0.1", 0))
    made.settimeout(10)
    return made


def _sent(text: str) -> None:
    found = re.fullmatch(
        r"<84>1 \d{4}-\d\d-\d\dT[0-9:.]+Z \S+ enforcer \d+ decision "
        r'\[decision@32473 action="deny" call="openat" program="/usr/bin/cat" file=""\] '
        "\ufeffdeny user: root, .*",
        text,
    )
    assert found, text


def test_a_host_gets_rfc_5424_by_udp() -> None:
    """One message a datagram."""
    with _server(socket.SOCK_DGRAM) as server:
        log = RemoteSyslog(Host(False, "127.0.0.1", server.getsockname()[1]))
        log.never_wait()
        log.emit(EventKind.DECISION, **EVENT)
        _sent(server.recv(65536).decode())
        log.emit(EventKind.END)
    assert log.lost == 0


def test_a_host_gets_octet_counted_messages_by_tcp_also_after_it_was_away() -> None:
    """The connection is made anew; what could not be sent meanwhile comes then."""
    with _server(socket.SOCK_STREAM) as server:
        port = server.getsockname()[1]
        log = RemoteSyslog(Host(True, "127.0.0.1", port))
        log.never_wait()
        log.emit(EventKind.DECISION, **EVENT)
        server.listen()
        for _ in range(2):
            stream, _ = server.accept()
            with stream, stream.makefile("rb") as file:
                size = int(b"".join(iter(lambda: file.read(1), b" ")))
                _sent(file.read(size).decode())
            log.emit(EventKind.DECISION, **EVENT)
    log.emit(EventKind.END)


def test_what_a_host_never_took_is_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the log that is near, in the end; memory is bounded meanwhile."""
    monkeypatch.setattr(syslog, "MOST_KEPT", 3)
    monkeypatch.setattr(syslog, "LAST_WORD_S", 0.01)
    with _server(socket.SOCK_STREAM) as server:
        port = server.getsockname()[1]
    far = RemoteSyslog(Host(True, "127.0.0.1", port))
    with (tmp_path / "log").open("wb") as file:
        log = Several([far, FileLog(file.fileno())])
        log.never_wait()
        for _ in range(5):
            log.emit(EventKind.DECISION, **EVENT)
        log.emit(EventKind.END, mechanism="ptrace", decisions=5, judged={})
    text = (tmp_path / "log").read_text()
    assert far.lost == 5
    assert '"events": 5' in text
    assert text.count('"decision"') == 5


def test_the_system_log_gets_the_line(tmp_path: Path) -> None:
    """By its socket, authpriv."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        log = LocalSyslog(tmp_path / "log")
        log.emit(EventKind.DECISION, **EVENT)
        log.emit(EventKind.END)
        text = server.recv(65536).decode()
    assert text == f"<84>enforcer[{os.getpid()}]: {systrace_line(EVENT)}"
    LocalSyslog(tmp_path / "none").emit(EventKind.DECISION, **EVENT)


@pytest.mark.parametrize("text", ["udp://h", "http://h:1", "udp://h:0", "udp://h:70000", "h:514"])
def test_what_is_no_host_is_refused(text: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match="write udp://"):
        parse_host(text)


def test_hosts_have_addresses_of_both_kinds() -> None:
    """IPv6 in brackets."""
    assert parse_host("tcp://[::1]:601") == Host(True, "::1", 601)
    assert parse_host("udp://log.example:514") == Host(False, "log.example", 514)

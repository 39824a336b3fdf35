"""What a log cannot take is kept, and said; what is lost in the end is said with its number."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from enforcer.events import EventKind, EventLog, FileLog
from enforcer.logs import syslog
from enforcer.logs.syslog import Host, LocalSyslog, RemoteSyslog
from enforcer.logs.voice import LogComplaint, Voice
from harness import process
from tests.logs.test_logs import EVENT

POLICY = """\
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename sub "secret"
"""


class Told:
    """A complaint that is kept."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[tuple[str, int]] = []

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def ready(self) -> None:
        return None

    def begins(self, reason: str) -> None:
        self.begun.append(reason)

    def ends(self, reason: str, count: int) -> None:
        self.ended.append((reason, count))


def _refusals(log: EventLog, count: int) -> None:
    log.never_wait()
    for _ in range(count):
        log.emit(EventKind.DECISION, **EVENT)


def test_a_full_disk_is_said_at_once_and_counted_in_the_end() -> None:
    """The device that is always full stands for it."""
    told = Told()
    full = os.open("/dev/full", os.O_WRONLY)
    log = FileLog(full, told)
    _refusals(log, 3)
    reason = os.strerror(errno.ENOSPC)
    assert set(told.begun) == {reason}
    assert told.ended == []
    log.emit(EventKind.END)
    assert told.ended == [(reason, 4)]
    os.close(full)


def test_a_reader_that_is_gone_is_said() -> None:
    """A pipe's, with EPIPE."""
    told = Told()
    read, write = os.pipe()
    log = FileLog(write, told)
    os.close(read)
    _refusals(log, 1)
    assert set(told.begun) == {os.strerror(errno.EPIPE)}
    os.close(write)


def test_a_log_that_takes_all_is_not_complained_of(tmp_path: Path) -> None:
    """Nor in the end."""
    told = Told()
    with (tmp_path / "log").open("wb") as file:
        log = FileLog(file.fileno(), told)
        _refusals(log, 3)
        log.emit(EventKind.END)
    assert (told.begun, told.ended) == ([], [])


def test_the_system_log_may_come_later(tmp_path: Path) -> None:
    """What it was not there for is kept, and comes first."""
    told = Told()
    place = tmp_path / "log"
    log = LocalSyslog(place, told)
    _refusals(log, 2)
    assert set(told.begun) == {os.strerror(errno.ENOENT)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(place))
        log.emit(EventKind.DECISION, **EVENT)
        assert [b"/etc/shadow" in server.recv(65536) for _ in range(3)] == [True] * 3
    log.emit(EventKind.END)
    assert told.ended == []


def test_a_system_log_that_never_comes_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beyond what is kept."""
    monkeypatch.setattr(syslog, "MOST_KEPT", 2)
    told = Told()
    log = LocalSyslog(tmp_path / "log", told)
    _refusals(log, 5)
    log.emit(EventKind.END)
    assert told.ended == [(os.strerror(errno.ENOENT), 5)]


@pytest.fixture
def free_port() -> int:
    """A port at which no datagram is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
    return port


def test_a_host_of_udp_gets_what_came_while_it_was_away(free_port: int) -> None:
    """Nothing acknowledges a datagram; that nobody is there the kernel says with the next."""
    told = Told()
    log = RemoteSyslog(Host(False, "127.0.0.1", free_port), told)
    _refusals(log, 3)
    while not told.begun:
        log.emit(EventKind.POLICY, reason="read again")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", free_port))
        server.settimeout(10)
        assert [b"/etc/shadow" in server.recv(65536) for _ in range(3)] == [True] * 3
        log.emit(EventKind.END)
    assert told.ended == []


@pytest.mark.parametrize("is_stream", [True, False], ids=["tcp", "udp"])
def test_a_host_that_never_comes_is_counted(
    is_stream: bool, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is the only log."""
    monkeypatch.setattr(syslog, "LAST_WORD_S", 0.3)
    told = Told()
    log = RemoteSyslog(Host(is_stream, "127.0.0.1", free_port), told)
    _refusals(log, 2)
    log.emit(EventKind.END)
    assert [count for _, count in told.ended] == [2]


def test_bytes_that_nobody_acknowledged_are_sent_again() -> None:
    """A connection that breaks takes with it what was in the kernel's buffers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        server.listen()
        server.settimeout(10)
        log = RemoteSyslog(Host(True, "127.0.0.1", server.getsockname()[1]))
        _refusals(log, 30)
        first, _ = server.accept()
        with first:
            first.settimeout(10)
            taken = first.recv(10)
            while log._kept:
                first.getpeername()
        second, _ = server.accept()
        with second, second.makefile("rb") as file:
            second.settimeout(10)
            size = int(b"".join(iter(lambda: file.read(1), b" ")))
            assert b"/etc/shadow" in file.read(size)
    assert taken


def test_one_connection_serves_for_all_messages() -> None:
    """Without a wait between two of them."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(10)
        told = Told()
        log = RemoteSyslog(Host(True, "127.0.0.1", server.getsockname()[1]), told)
        _refusals(log, 20)
        stream, _ = server.accept()
        with stream, stream.makefile("rb") as file:
            stream.settimeout(10)
            for _ in range(20):
                size = int(b"".join(iter(lambda: file.read(1), b" ")))
                assert b"/etc/shadow" in file.read(size)
            log.emit(EventKind.END)
    assert (told.begun, told.ended) == ([], [])


def test_a_voice_speaks_on_what_was_standard_error() -> None:
    """One line, control characters spelt out; the log is named once when it begins to fail."""
    code = (
        "from enforcer.logs.voice import LogComplaint, Voice\n"
        "import os\n"
        "voice = Voice()\n"
        "os.close(2)\n"
        "complaint = LogComplaint(voice, 'a\\nlog')\n"
        "complaint.ready()\n"
        "for _ in range(3): complaint.begins('full')\n"
        "complaint.ends('full', 1)\n"
    )
    ran = process.run([sys.executable, "-c", code])
    assert ran.stderr.splitlines() == [
        r"enforcer: a\nlog: full; events are missing there until it takes them",
        r"enforcer: a\nlog: 1 event is missing there: full",
    ]


def test_who_made_no_supervisor_says_nothing() -> None:
    """Before it is ready there is a person who gets an error."""
    voice = Voice()
    LogComplaint(voice, "log").begins("full")
    assert voice.fd > 2
    os.close(voice.fd)


_REFUSED = """
import os
for _ in range(300):
    try:
        os.open("secret", os.O_RDONLY)
    except PermissionError:
        pass
print("done")
"""
_ON_A_SMALL_DISK = """
mkdir disk && mount -t tmpfs -o size=8k none disk || exit 77
{enforcer} run -b {mechanism} -p policy.yaml --log disk/log -- {python} -I -S -c "$1"
echo status $?
grep -c '"action": "deny"' disk/log
"""


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_a_disk_that_fills_up_ends_nothing_and_is_said(mechanism: str, tmp_path: Path) -> None:
    """Each refusal is a refusal still; what the log has and what is missing is all."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    script = _ON_A_SMALL_DISK.format(
        enforcer=f"{sys.executable} -m enforcer", mechanism=mechanism, python=sys.executable
    )
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", _REFUSED]
    ran = process.run(words, cwd=tmp_path)
    if ran.status == 77 or "unshare:" in ran.stderr:
        pytest.skip("user namespaces with mounts are not permitted here")
    first, *more = ran.stderr.splitlines()
    assert first == (
        "enforcer: disk/log: No space left on device; events are missing there until it takes them"
    )
    done, status, there = ran.stdout.splitlines()
    assert (done, status) == ("done", "status 0")
    (last,) = more
    assert last.startswith("enforcer: disk/log: ")
    assert last.endswith(" events are missing there: No space left on device")
    missing = int(last.split()[2])
    assert 300 <= int(there) + missing <= 302, "and the last event, and a torn line"

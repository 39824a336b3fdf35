"""Every answer of a policy reaches the caller by every way that a call can take, and nothing else.

Ways differ by how the mechanism carries calls out: opened and handed over, performed, sent on a
copy, left to the caller, decided by registers.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from enforcer.mechanisms.ptrace.private import ANSWERS
from tests.mechanisms.acting import Acts, run_acts

MECHANISMS = pytest.mark.parametrize("mechanism", ["ptrace", "notify"])


def policy(answer: str, port: int) -> str:
    """What names `walled` or the port gets `answer`, all else is judged and permitted."""
    names = "[fsread, fswrite, chdir, execve, execveat]"
    addresses = "[connect, bind, sendto, sendmsg, sendmmsg]"
    return f"""
default: permit
rules:
  - {answer}: {names}
    when: filename sub "walled"
  - {answer}: [rename, renameat, renameat2, link, linkat]
    when: filename[1] sub "walled"
  - {answer}: {addresses}
    when: sockaddr sub "walled" or sockaddr match "*:{port}"
  - {answer}: getppid
    if: user = {os.geteuid()}
  - permit: {names}
    when: filename match "/*"
  - permit: {addresses}
    when: sockaddr match "*"
"""


def acts(port: int) -> Acts:
    """One act for each way, by the call that is to stand in the log."""
    return {
        "openat": 'call("openat", HERE, "walled/file", os.O_RDONLY)',
        "openat to write": 'call("openat", HERE, "walled/file", os.O_RDWR | os.O_TRUNC)',
        "openat by link": 'call("openat", HERE, "link/file", os.O_RDONLY)',
        "openat of a place": 'call("openat", HERE, "walled/file", os.O_PATH)',
        "openat anew": 'call("openat", HERE, "walled/new", os.O_CREAT | os.O_WRONLY, 0o600)',
        "openat without a name":
            'call("openat", HERE, "walled", os.O_TMPFILE | os.O_RDWR, 0o600)',
        "openat2": 'call("openat2", HERE, "walled/file", struct.pack("=QQQ", 0, 0, 0), 24)',
        "openat2 in a scope":
            'call("openat2", HERE, "walled/file", struct.pack("=QQQ", 0, 0, 8), 24)',
        "openat2 anew":
            'call("openat2", HERE, "walled/new", struct.pack("=QQQ", 0o101, 0o600, 0), 24)',
        "newfstatat": 'call("newfstatat", HERE, "walled/file", bytes(256), 0)',
        "statx": 'call("statx", HERE, "walled/file", 0, 0x7FF, bytes(256))',
        "faccessat": 'call("faccessat", HERE, "walled/file", 4)',
        "readlinkat": 'call("readlinkat", HERE, "walled/link", bytes(256), 256)',
        "mkdirat": 'call("mkdirat", HERE, "walled/new", 0o700)',
        "mknodat": 'call("mknodat", HERE, "walled/new", 0o10600, 0)',
        "unlinkat": 'call("unlinkat", HERE, "walled/file", 0)',
        "unlinkat of a directory": 'call("unlinkat", HERE, "walled/empty", 0x200)',
        "renameat2 from there": 'call("renameat2", HERE, "walled/file", HERE, "moved", 0)',
        "renameat2 to there": 'call("renameat2", HERE, "file", HERE, "walled/new", 0)',
        "linkat from there": 'call("linkat", HERE, "walled/file", HERE, "hard", 0)',
        "linkat to there": 'call("linkat", HERE, "file", HERE, "walled/new", 0)',
        "symlinkat": 'call("symlinkat", "text", HERE, "walled/new")',
        "fchmodat": 'call("fchmodat", HERE, "walled/file", 0o777)',
        "utimensat": 'call("utimensat", HERE, "walled/file", struct.pack("=4q", 1, 1, 1, 1), 0)',
        "truncate": 'call("truncate", "walled/file", 0)',
        "setxattr": 'call("setxattr", "walled/file", "user.a", b"x", 1, 0)',
        "chdir": 'call("chdir", "walled")',
        "execve": 'call("execve", "walled/program", struct.pack("PP", at(b"x\\0"), 0), 0)',
        "execveat":
            'call("execveat", HERE, "walled/program", struct.pack("PP", at(b"x\\0"), 0), 0, 0)',
        "connect": f'call("connect", stream(), inet({port}), 16)',
        "connect to a path": 'call("connect", stream(1), path("walled/socket"), 16)',
        "bind": f'call("bind", stream(), inet({port}), 16)',
        "bind to a path": 'call("bind", stream(1), path("walled/new"), 13)',
        "sendto": f'call("sendto", datagram(), b"x", 1, 0, inet({port}), 16)',
        "sendto to a path": 'call("sendto", datagram(1), b"x", 1, 0, path("walled/datagrams"), 19)',
        "sendmsg": f'call("sendmsg", datagram(), message(inet({port}), b"x"), 0)',
        "sendmsg to a path":
            'call("sendmsg", datagram(1), message(path("walled/datagrams"), b"x"), 0)',
        "sendmmsg": f"""
            messages = [message(inet(port), b"x") + bytes(8) for port in (9, {port})]
            return call("sendmmsg", datagram(), b"".join(messages), 2, 0)""",
        "getppid": 'call("getppid")',
    }  # fmt: skip


LINKS: Acts = {
    "looked at": 'call("newfstatat", HERE, "to_secret", bytes(256), 0x100)',
    "looked at by statx": 'call("statx", HERE, "to_secret", 0x100, 0x7FF, bytes(256))',
    "read": 'call("readlinkat", HERE, "to_secret", bytes(256), 256)',
    "owned": 'call("fchownat", HERE, "to_secret", os.getuid(), -1, 0x100)',
    "timed": 'call("utimensat", HERE, "to_secret", struct.pack("=4q", 1, 1, 1, 1), 0x100)',
    "found there": 'call("openat", HERE, "to_secret", os.O_CREAT | os.O_EXCL, 0o600)',
    "not followed": 'call("openat", HERE, "to_secret", os.O_RDONLY | os.O_NOFOLLOW)',
    "linked": 'call("linkat", HERE, "to_secret", HERE, "hard", 0), os.unlink("hard")',
    "moved": 'call("renameat2", HERE, "to_secret", HERE, "moved", 0)',
    "removed": 'call("unlinkat", HERE, "moved", 0)',
}
"""What is done to a link itself, which leads to what is denied."""

FOLLOWED: Acts = {
    "looked at": 'call("newfstatat", HERE, "to_secret", bytes(256), 0)',
    "looked at by statx": 'call("statx", HERE, "to_secret", 0, 0x7FF, bytes(256))',
    "owned": 'call("fchownat", HERE, "to_secret", os.getuid(), -1, 0)',
    "timed": 'call("utimensat", HERE, "to_secret", struct.pack("=4q", 1, 1, 1, 1), 0)',
    "opened": 'call("openat", HERE, "to_secret", os.O_RDONLY)',
    "opened or made": 'call("openat", HERE, "to_secret", os.O_CREAT | os.O_RDWR, 0o600)',
    "made": 'call("openat", HERE, "to_new", os.O_CREAT | os.O_RDWR, 0o600)',
    "linked": 'call("linkat", HERE, "to_secret", HERE, "hard", 0x400)',
    "on the way": 'call("openat", HERE, "link/file", os.O_RDONLY | os.O_NOFOLLOW)',
    "removed on the way": 'call("unlinkat", HERE, "link/file", 0)',
    "rights": 'call("faccessat", HERE, "to_secret", 0)',
    "mode": 'call("fchmodat", HERE, "to_secret", 0o777)',
}
"""The same to what it leads to."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Something of every kind, permitted and denied."""
    denied = tmp_path / "walled"
    (denied / "empty").mkdir(parents=True)
    (tmp_path / "file").write_text("free")
    (denied / "file").write_text("secret")
    (denied / "link").symlink_to("file")
    (tmp_path / "link").symlink_to("walled")
    (tmp_path / "to_secret").symlink_to("walled/file")
    (tmp_path / "to_new").symlink_to("walled/new")
    (denied / "program").write_text("#!/bin/sh\nexit 3\n")
    (denied / "program").chmod(0o755)
    return tmp_path


@pytest.fixture
def reached(place: Path) -> Iterator[list[socket.socket]]:
    """What the acts would reach: a TCP and a UDP port of one number, and two path sockets."""
    with (
        socket.socket() as stream,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as path_stream,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as path_datagrams,
    ):
        stream.bind(("127.0.0.1", 0))
        datagrams.bind(stream.getsockname())
        path_stream.bind(str(place / "walled/socket"))
        path_datagrams.bind(str(place / "walled/datagrams"))
        for each in (stream, path_stream):
            each.listen()
        found = [stream, datagrams, path_stream, path_datagrams]
        for each in found:
            each.setblocking(False)
        yield found


def facts(directory: Path) -> list[tuple[object, ...]]:
    """All that the acts could change."""
    found: list[tuple[object, ...]] = []
    for entry in sorted([directory, *directory.rglob("*")]):
        status = entry.lstat()
        content = entry.read_bytes() if entry.is_file() and not entry.is_symlink() else b""
        found.append((entry.name, status.st_mode, status.st_nlink, status.st_mtime_ns, content))
    return found


@MECHANISMS
@pytest.mark.parametrize(
    ("answer", "outcome", "action"),
    [
        ("deny[exdev]", f"{-errno.EXDEV}", "deny"),
        ("deny", f"{-errno.EPERM}", "deny"),
        ("ask", f"{-errno.EPERM}", "ask"),
        ("kill", "ended -9", "kill"),
    ],
    ids=["deny-errno", "deny", "ask", "kill"],
)
def test_every_answer_by_every_way(
    mechanism: str,
    answer: str,
    outcome: str,
    action: str,
    place: Path,
    reached: list[socket.socket],
) -> None:
    """The errno of the rule, EPERM where it has none and for `ask`, SIGKILL for `kill`; each is
    logged once, and neither files nor sockets see anything of it."""
    port = reached[0].getsockname()[1]
    before = facts(place / "walled")
    ran, outcomes = run_acts(mechanism, policy(answer, port), acts(port), place)
    assert {title: found for title, found in outcomes.items() if found != outcome} == {}
    assert facts(place / "walled") == before
    assert not (place / "moved").exists()
    assert not (place / "hard").exists()
    for each in reached:
        with pytest.raises(BlockingIOError):
            each.accept() if each.type == socket.SOCK_STREAM else each.recv(9)
    assert ran.decisions() == [(action, title.split()[0]) for title in outcomes]
    assert [event["event"] for event in ran.events if event["event"] != "decision"] == [
        "start",
        "enforcing",
        "end",
    ]
    assert ran.decided() >= len(outcomes)


@MECHANISMS
@pytest.mark.parametrize("defences", ["copy", "pin", "none"])
def test_every_way_is_denied_with_defences_off(
    mechanism: str, defences: str, place: Path, reached: list[socket.socket]
) -> None:
    """Nothing moves here: a weaker enforcer denies the plain act as well, and logs it."""
    port = reached[0].getsockname()[1]
    before = facts(place / "walled")
    tried = acts(port)
    ran, outcomes = run_acts(
        mechanism, policy("deny[exdev]", port), tried, place, defences=defences
    )
    assert {title: found for title, found in outcomes.items() if found != "-18"} == {}
    assert facts(place / "walled") == before
    assert ran.decisions() == [("deny", title.split()[0]) for title in outcomes]


@MECHANISMS
@pytest.mark.parametrize("defences", ["all", "copy", "none"])
def test_a_link_is_judged_by_its_own_name(mechanism: str, defences: str, place: Path) -> None:
    """What a call does to a link itself is judged by the link's name, the rest by its end's."""
    rules = policy("deny[exdev]", 1)
    _, outcomes = run_acts(mechanism, rules, FOLLOWED, place, defences=defences)
    assert {title: found for title, found in outcomes.items() if found != "-18"} == {}
    _, outcomes = run_acts(mechanism, rules, LINKS, place, defences=defences)
    expected = {
        **dict.fromkeys(LINKS, "0"),
        "read": "11",
        "found there": f"{-errno.EEXIST}",
        "not followed": f"{-errno.ELOOP}",
        "linked": "(0, None)",
    }
    assert outcomes == expected


@MECHANISMS
def test_names_that_nobody_can_hold_are_refused(mechanism: str, place: Path) -> None:
    """A call that can neither be bound to what was judged nor done for its caller is no way round
    a rule on names, and is logged."""
    acts = {"fanotify_mark": 'call("fanotify_mark", 0, 1, 1, HERE, "file")'}
    names = """
default: permit
rules:
  - permit: fsread
    when: filename match "/*"
  - deny[exdev]: fsread
"""
    ran, outcomes = run_acts(mechanism, names, acts, place, options=())
    assert outcomes == {"fanotify_mark": "-1"}
    assert ran.decisions() == [("deny", "fanotify_mark")]


@MECHANISMS
def test_a_look_at_a_descriptor_is_fstat(mechanism: str, place: Path) -> None:
    """newfstatat and statx of an empty name are judged by rules on fstat, not on names; without
    AT_EMPTY_PATH nothing has such a name."""
    rules = policy("deny[exdev]", 1).replace(
        "rules:", "rules:\n  - deny[etime]: fstat\n    when: arg[0]:32 == 77"
    )
    acts = {
        "newfstatat": 'call("newfstatat", os.dup2(0, 77), "", bytes(256), 0x1000)',
        "statx": 'call("statx", os.dup2(0, 77), "", 0x1000, 0x7FF, bytes(256))',
        "of no name": 'call("newfstatat", os.dup2(0, 77), "", bytes(256), 0)',
        "of no name by statx": 'call("statx", os.dup2(0, 77), "", 0, 0x7FF, bytes(256))',
        "of another": 'call("newfstatat", 0, "", bytes(256), 0x1000)',
        "of a name": 'call("newfstatat", HERE, "file", bytes(256), 0x1000)',
        "of a denied name by a directory": """
            base = os.open(".", os.O_RDONLY)
            return call("newfstatat", base, "walled/file", bytes(256), 0x1000)""",
        "of a denied name": 'call("newfstatat", HERE, "walled/file", bytes(256), 0x1000)',
    }
    _, outcomes = run_acts(mechanism, rules, acts, place)
    assert outcomes == {
        "newfstatat": f"{-errno.ETIME}",
        "statx": f"{-errno.ETIME}",
        "of no name": f"{-errno.ENOENT}",
        "of no name by statx": f"{-errno.ENOENT}",
        "of another": "0",
        "of a name": "0",
        "of a denied name by a directory": "-18",
        "of a denied name": "-18",
    }


PRIVATE = (415, 0x7EF2, 0x7EF3, 0x7EF4, 0x6FFF, ANSWERS[0], ANSWERS[-errno.ENOENT])
"""Numbers that enforcers use, or could; no kernel does."""


@MECHANISMS
def test_no_private_number_means_anything_to_a_target(mechanism: str, tmp_path: Path) -> None:
    """ENOSYS for each, whatever the registers say, under a policy that permits all.

    But for those by which the tracer gives a result: they are that result, and nothing is done.
    """
    acts = {
        str(number): f"""
            results = set()
            for register in (0, 1, 3, 2**40, -1):
                kept.append(libc.syscall({number}, *[ctypes.c_long(register)] * 6))
                results.add((kept[-1], ctypes.get_errno()))
            return results"""
        for number in PRIVATE
    }
    _, outcomes = run_acts(mechanism, "default: permit\nrules: []\n", acts, tmp_path)
    expected = dict.fromkeys(acts, "{(-1, 38)}")
    if mechanism == "ptrace":
        expected |= {str(ANSWERS[0]): "{(0, 0)}", str(ANSWERS[-errno.ENOENT]): "{(-1, 2)}"}
    assert outcomes == expected


@MECHANISMS
def test_a_target_has_filters_but_no_listener(mechanism: str, tmp_path: Path) -> None:
    """NEW_LISTENER is EBUSY, with any other flag; a filter of the target's own counts.

    notify has the kernel say so, ptrace does itself, and logs it.
    """
    acts = {
        "listeners": """
            code = at(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
            program = struct.pack("H6xQ", 1, code)
            return [call("seccomp", 1, flags, program) for flags in (8, 8 | 1 | 16, 0, 1)]""",
        "filter": """
            code = at(struct.pack("HBBIHBBIHBBIHBBI", 0x20, 0, 0, 0, 0x15, 0, 1, numbers["getppid"],
                                  6, 0, 0, 0x50000 | 77, 6, 0, 0, 0x7FFF0000))
            loaded = call("seccomp", 1, 0, struct.pack("H6xQ", 4, code))
            return loaded, call("getppid"), min(0, call("openat", HERE, "/dev/null", 0))""",
        "refused filter": """
            code = at(struct.pack("HBBI", 0, 0, 0, 1))
            programs = [struct.pack("H6xQ", length, code) for length in (0, 1)]
            return [call("seccomp", 1, 0, program) for program in programs]""",
    }
    ran, outcomes = run_acts(mechanism, "default: permit\nrules: []\n", acts, tmp_path)
    assert outcomes == {
        "listeners": "[-16, -16, 0, 0]",
        "filter": "(0, -77, 0)",
        "refused filter": "[-22, -22]",
    }
    refused = [("deny", "seccomp")] * 2 if mechanism == "ptrace" else []
    assert ran.decisions() == refused

"""notify and sockets: addresses, messages and path sockets are judged and used from one copy."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mechanisms.test_notify import paths_but, python, secret

__all__ = ["secret"]


@pytest.fixture
def ports() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        yield first, second


def test_addresses_are_judged_and_used_from_one_copy(
    tmp_path: Path, ports: tuple[socket.socket, socket.socket]
) -> None:
    """connect reaches the permitted port and not the other; sendto and sendmsg likewise."""
    allowed, denied = (each.getsockname()[1] for each in ports)
    policy = f"""
default: permit
rules:
  - permit: [connect, sendto, sendmsg]
    when: sockaddr eq "inet-[127.0.0.1]:{allowed}" or sockaddr eq ""
  - deny[econnrefused]: [connect, sendto, sendmsg]
"""
    text = """
import socket, sys
for port in map(int, sys.argv[1:]):
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        print(stream.connect_ex(("127.0.0.1", port)), end=" ")
        for send in (lambda: datagram.sendto(b"abc", ("127.0.0.1", port)),
                     lambda: datagram.sendmsg([b"d", b"ef"], [], 0, ("127.0.0.1", port))):
            try:
                print(send(), end=" ")
            except OSError as error:
                print(-error.errno, end=" ")
"""
    done = python(text, policy, tmp_path, str(allowed), str(denied))
    assert done.stdout == "0 3 3 111 -111 -111 ", done.stderr


def test_descriptors_pass_through_judged_messages(tmp_path: Path) -> None:
    """A message that the supervisor sends carries the sender's descriptors and its SIGPIPE."""
    policy = """
default: permit
rules:
  - permit: [sendto, sendmsg]
    when: sockaddr eq ""
  - deny[eacces]: [sendto, sendmsg]
"""
    text = """
import os, signal, socket
ours, theirs = socket.socketpair()
read, write = os.pipe()
socket.send_fds(ours, [b"take"], [write])
data, (fd,), flags, address = socket.recv_fds(theirs, 9, 1)
os.write(fd, b"through")
print(data, os.read(read, 9))
theirs.close()
got = []
signal.signal(signal.SIGPIPE, lambda *_: got.append("pipe"))
try:
    ours.sendmsg([b"lost"])
except BrokenPipeError:
    print("broken", got)
"""
    done = python(text, policy, tmp_path)
    assert done.stdout == "b'take' b'through'\nbroken ['pipe']\n", done.stderr


def test_path_socket_keeps_the_name_it_was_bound_by(tmp_path: Path, secret: Path) -> None:
    """bind creates the socket in the judged directory, and getsockname shows the text given."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    text = """
import socket, sys
for name in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        try:
            server.bind(name)
            server.listen()
            client.connect(server.getsockname())
            print(server.getsockname())
        except OSError as error:
            print(error.errno)
"""
    names = ["./relative", f"{tmp_path}/absolute", f"{hidden}/socket"]
    done = python(text, paths_but(hidden), tmp_path, *names)
    assert done.stdout == f"./relative\n{tmp_path}/absolute\n13\n", done.stderr
    assert list(hidden.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_rights_at_path_sockets_are_the_callers(tmp_path: Path) -> None:
    """A target that gave up root's rights reaches no socket by those of its supervisor."""
    tmp_path.chmod(0o755)
    policy = """
default: permit
rules:
  - permit: [connect, bind, sendto]
    when: sockaddr match "/*"
  - deny[exdev]: [connect, bind, sendto]
"""
    text = """
import os, socket
bound = []
os.chdir("here"), os.mkdir("shut")
for name, mode in (("shut/a", 0o777), ("b", 0o700), ("c", 0o777)):
    bound.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    bound[-1].bind(name), os.chmod(name, mode)
os.chmod("shut", 0o700), os.setgroups([]), os.setgid(65534), os.setuid(65534)
for name in ("shut/a", "b", "c"):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        print(sender.connect_ex(name), end=" ")
        try:
            print(sender.sendto(b"x", name), end=" ")
        except OSError as error:
            print(error.errno, end=" ")
try:
    socket.socket(socket.AF_UNIX).bind("d")
except OSError as error:
    print(error.errno)
"""
    (tmp_path / "here").mkdir(mode=0o755)
    (tmp_path / "here").chmod(0o755)
    done = python(text, policy, tmp_path)
    assert done.stdout == "13 13 13 13 0 1 13\n", done.stderr


def test_a_place_that_cannot_be_handed_over_is_refused(tmp_path: Path) -> None:
    """O_PATH opens of devices, pipes and links fail, logged, and open nothing in their place."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    text = """
import os
for name, flags in (("fifo", 0), ("/dev/null", 0), ("link", os.O_NOFOLLOW), (".", 0)):
    try:
        print(min(0, os.open(name, os.O_PATH | flags)), end=" ")
    except OSError as error:
        print(error.errno, end=" ")
"""
    done = python(text, paths_but(tmp_path / "none"), tmp_path)
    assert done.stdout == "1 1 95 0 ", done.stderr
    assert done.decisions() == [("deny", "openat")] * 3

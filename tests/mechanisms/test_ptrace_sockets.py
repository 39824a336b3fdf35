"""Path sockets under the tracer: what was judged is what is reached, with the caller's rights."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import process
from tests.mechanisms.sandbox import run

POLICY = """\
default: permit
rules:
  - deny[eacces]: [connect, sendto, sendmsg, sendmmsg]
    when: sockaddr sub "/denied/"
    log: true
"""

SENDING = """\
import ctypes, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)

def sendmmsg(sender, *paths):
    keep, vector = [], b""
    for path in paths:
        data = ctypes.create_string_buffer(os.path.basename(os.path.dirname(path)).encode())
        name = ctypes.create_string_buffer(struct.pack("=H", socket.AF_UNIX) + path.encode())
        body = ctypes.create_string_buffer(
            struct.pack("PN", ctypes.addressof(data), len(data) - 1))
        keep += [data, name, body]
        vector += struct.pack("PIPNPNi0P", ctypes.addressof(name), len(name),
                              ctypes.addressof(body), 1, 0, 0, 0) + bytes(8)
    memory = ctypes.create_string_buffer(vector, len(vector))
    sent = libc.sendmmsg(sender.fileno(), memory, len(paths), 0)
    lengths = [struct.unpack_from("=I", memory, index * 64 + 56)[0] for index in range(len(paths))]
    return (sent, lengths) if sent >= 0 else os.strerror(ctypes.get_errno())

def attempt(act):
    try:
        print(act())
    except OSError as error:
        print(error.strerror)

def receiver(path):
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind(path)
    return found
"""

ACTS = """
os.mkdir("free"), os.mkdir("denied"), os.symlink("denied/socket", "link")
free, denied = receiver("free/socket"), receiver("denied/socket")
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
read, write = os.pipe()
attempt(lambda: sender.sendto(b"one", "free/socket"))
print(free.recv(99))
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", write))]
attempt(lambda: sender.sendmsg([b"two", b"!"], rights, 0, "free/socket"))
data, (passed,), flags, address = socket.recv_fds(free, 99, 1)
os.write(passed, b"through"), print(data, os.read(read, 9))
attempt(lambda: sendmmsg(sender, os.path.abspath("free/socket"), os.path.abspath("free/socket")))
print(free.recv(99), free.recv(99))
attempt(lambda: sender.sendto(b"no", "denied/socket"))
attempt(lambda: sender.sendto(b"no", "link"))
attempt(lambda: sender.sendmsg([b"no"], [], 0, "free/../denied/socket"))
attempt(lambda: sendmmsg(sender, os.path.abspath("free/socket"), os.path.abspath("link")))
attempt(lambda: sender.sendto(b"no", "free/absent"))
attempt(lambda: sender.sendto(b"no", "free"))
stream = socket.socket(socket.AF_UNIX)
attempt(lambda: stream.sendto(b"no", "free/socket"))
for each in (free, denied):
    each.setblocking(False)
    attempt(lambda: each.recv(9))
"""


def test_messages_reach_the_sockets_that_were_judged(tmp_path: Path) -> None:
    """sendto, sendmsg (with descriptors) and sendmmsg to permitted paths work, to denied ones not.

    A sendmmsg with one denied message sends none.
    """
    ran = run("ptrace", POLICY, [sys.executable, "-c", SENDING + ACTS], tmp_path)
    denied, again = "Permission denied", "Resource temporarily unavailable"
    assert ran.stdout.splitlines() == [
        "3",
        "b'one'",
        "4",
        "b'two!' b'through'",
        "(2, [4, 4])",
        "b'free' b'free'",
        *[denied] * 4,
        "No such file or directory",
        "Connection refused",
        "Operation not supported",
        *[again] * 2,
    ], ran.stderr
    calls = ["sendto", "sendto", "sendmsg", "sendmmsg"]
    assert ran.decisions() == [("deny", call) for call in calls]


SWAPPING = """\
import os, sys
from pathlib import Path
from enforcer.arch import native
from enforcer.events import NullLog
from enforcer.mechanisms.contract import Defence, Options
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.mechanism import Ptrace
from enforcer.mechanisms.ptrace.tracer import Tracer
from enforcer.policy import load_policies

directory, defences, *command = sys.argv[1:]

class Swap(Act):
    def settle(self, call, decision):
        if call.name.startswith("send") and call.values["sockaddr"][0].endswith("/socket"):
            os.rename(f"{directory}/free", f"{directory}/aside")
            os.rename(f"{directory}/denied", f"{directory}/free")
        return super().settle(call, decision)

class Swapping(Tracer):
    make_act = Swap

class Swapped(Ptrace):
    make_tracer = Swapping

chosen = Options(defences=frozenset(map(Defence, defences.split(","))))
policies = load_policies(Path(directory) / "policy.yaml")
Swapped().launch(Swapped().compile(policies, native().abis, chosen), command, NullLog())
"""

ONE = """
import sys
os.mkdir("free"), os.mkdir("denied")
free, denied = receiver("free/socket"), receiver("denied/socket")
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
try:
    sender.sendto(b"", "\\0nobody")
except ConnectionRefusedError:
    pass
acts = {
    "sendto": lambda: sender.sendto(b"free", "free/socket"),
    "sendmsg": lambda: sender.sendmsg([b"free"], [], 0, "free/socket"),
    "sendmmsg": lambda: sendmmsg(sender, os.path.abspath("free/socket")),
}
acts[sys.argv[1]]()
for each in (free, denied):
    each.setblocking(False)
    attempt(lambda: each.recv(9))
"""


@pytest.mark.parametrize("call", ["sendto", "sendmsg", "sendmmsg"])
@pytest.mark.parametrize("defences", ["copy,pin", "copy"], ids=["pinned", "not"])
def test_exchange_after_the_judgement(defences: str, call: str, tmp_path: Path) -> None:
    """Another socket in the judged one's place gets nothing; without `pin` it gets the message."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    words = [sys.executable, "-c", SWAPPING, str(tmp_path), defences, sys.executable, "-c"]
    done = process.run([*words, SENDING + ONE, call], cwd=tmp_path)
    told = ["b'free'", "Resource temporarily unavailable"]
    expected = told if "pin" in defences else told[::-1]
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


RIGHTS = """
import sys
for name in ("shut", "open"):
    os.mkdir(name)
    os.chmod(name, 0o700 if name == "shut" else 0o755)
shut, modest, public = receiver("shut/a"), receiver("open/b"), receiver("open/c")
for path, mode in (("shut/a", 0o777), ("open/b", 0o700), ("open/c", 0o777)):
    os.chmod(path, mode)
os.setgroups([]), os.setgid(65534), os.setuid(65534)
for path in ("shut/a", "open/b", "open/c"):
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    attempt(lambda: sender.sendto(b"x", path))
    attempt(lambda: sender.connect(path))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_rights_are_those_of_the_caller(open_directory: Path) -> None:
    """A target that gave up root's rights reaches no socket by those of its tracer."""
    command = [sys.executable, "-c", SENDING + RIGHTS]
    ran = run("ptrace", POLICY, command, open_directory)
    denied = "Permission denied"
    assert ran.stdout.splitlines() == [*[denied] * 4, "1", "None"], ran.stderr

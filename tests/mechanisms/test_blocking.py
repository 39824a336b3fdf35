"""What holds up one task holds up no other: calls that wait, by kind, beside one that does not."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from tests.mechanisms.sandbox import run

COUNT = 40
"""More than a supervisor has threads in the beginning."""

POLICY = """
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename sub "secret"
  - deny[eacces]: [connect, sendto, sendmsg]
    when: sockaddr eq "inet-[192.0.2.1]:80"
"""

_HEAD = f"""
import ctypes, mmap, os, socket, struct, sys, threading
COUNT = {COUNT}
libc = ctypes.CDLL(None, use_errno=True)
begun = []

def wait(number):
    begun.append(threading.get_native_id())
    block(number)

def state(tid):
    try:
        with open(f"/proc/self/task/{{tid}}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"
"""

_TAIL = """
threads = [threading.Thread(target=wait, args=(number,), daemon=True) for number in range(COUNT)]
for thread in threads:
    thread.start()
while len(begun) < COUNT or any(state(tid) == "R" for tid in begun):
    os.close(os.open("/etc/passwd", os.O_RDONLY))
child = os.fork()
if child == 0:
    os.close(os.open("/etc/passwd", os.O_RDONLY))
    os.stat("/etc/passwd")
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""

WAITS = {
    "a FIFO that nobody writes": """
        for number in range(COUNT):
            os.mkfifo(f"fifo{number}")
        def block(number):
            os.open(f"fifo{number}", os.O_RDONLY)
        """,
    "a connection that nobody accepts": """
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        def block(number):
            socket.socket().connect(listener.getsockname())
        """,
    "a path socket that nobody accepts": """
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("socket")
        listener.listen(0)
        def block(number):
            socket.socket(socket.AF_UNIX).connect("socket")
        """,
    "a lease that is kept": """
        import fcntl, signal
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        leased = os.open("leased", os.O_RDONLY | os.O_CREAT, 0o600)
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        def block(number):
            os.truncate("leased", 1)
        """,
    "a name that never comes": """
        place = mmap.mmap(-1, 4096 * COUNT, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.addressof(ctypes.c_char.from_buffer(place))
        faults = libc.syscall(323, 0)
        if faults < 0:
            print("absent")
            os._exit(0)
        assert libc.ioctl(faults, 0xC018AA3F, struct.pack("QQQ", 0xAA, 0, 0)) == 0
        assert libc.ioctl(faults, 0xC020AA00, struct.pack("QQQQ", start, 4096 * COUNT, 1, 0)) == 0
        def block(number):
            libc.open(ctypes.c_void_p(start + 4096 * number), 0)
        """,
}


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
@pytest.mark.parametrize("wait", WAITS)
def test_others_go_on(wait: str, mechanism: str, tmp_path: Path) -> None:
    """Beside tens of calls that wait for ever another process opens, looks and ends."""
    source = _HEAD + textwrap.dedent(WAITS[wait]) + _TAIL
    ran = run(mechanism, POLICY, [sys.executable, "-I", "-S", "-c", source], tmp_path)
    if ran.stdout == "absent\n":
        pytest.skip("no userfaultfd(2) that answers faults of the kernel")
    assert (ran.status, ran.stdout) == (0, "7\n"), ran.stderr
    assert ran.events[-1]["event"] == "end"


_LEASED = """
import fcntl, os, signal
fd = os.open("leased", os.O_RDWR | os.O_CREAT, 0o600)
os.write(fd, b"text")
os.close(fd)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fd = os.open("leased", os.O_RDONLY)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
child = os.fork()
if child == 0:
    os.truncate("leased", 1)
    os._exit(os.stat("leased").st_size)
try:
    os.truncate("secret", 1)
except OSError as error:
    print(error.errno)
signal.sigwait([signal.SIGIO])
print(os.stat("leased").st_size, os.waitpid(child, os.WNOHANG), flush=True)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_a_truncation_waits_for_who_holds_a_lease(mechanism: str, tmp_path: Path) -> None:
    """The holder is told by its signal; the file is cut when it has let go, a denied one never."""
    (tmp_path / "secret").write_text("content")
    ran = run(mechanism, POLICY, [sys.executable, "-I", "-S", "-c", _LEASED], tmp_path)
    assert (ran.status, ran.stdout) == (0, "13\n4 (0, 0)\n1\n"), ran.stderr
    assert not [event for event in ran.events if event["event"] == "detection"]
    assert (tmp_path / "secret").read_text() == "content"

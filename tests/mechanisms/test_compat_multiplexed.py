"""socketcall and ipc of i386 stand for other calls, whose arguments lie in memory."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from enforcer.arch import native
from tests.mechanisms.sandbox import run

POLICY = """\
default: permit
rules:
  - deny[eacces]: [connect, sendto, sendmsg, sendmmsg, bind]
    when: sockaddr match "*:{port}"
  - permit: [connect, sendto, sendmsg, sendmmsg, bind]
    when: sockaddr match "*"
  - deny[exdev]: socket
    when: arg[0]:32 == 16
  - deny[etime]: shmget
"""

SCRIPT = """\
import ctypes, errno, mmap, os, socket, struct, sys
sys.path.insert(0, sys.argv[1])
from tests.mechanisms.int80 import Int80
port = int(sys.argv[2])
low = mmap.mmap(-1, 65536, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40)
base = ctypes.addressof(ctypes.c_char.from_buffer(low))
used = 0
def at(data):
    global used
    place, used = used, used + len(data) + 15 & ~15
    low[place : place + len(data)] = data
    return base + place
SOCKETCALL, IPC, JUNK = 102, 117, 0xABCD << 32
call = Int80()
def multiplexed(code, *words, junk=0):
    block = at(struct.pack(f"={len(words)}I", *words))
    return call.errno(SOCKETCALL, (code | junk, block | junk, junk, junk, 0, 0))
def inet(port):
    return at(struct.pack("=H", 2) + struct.pack(">H4s8x", port, socket.inet_aton("127.0.0.1")))
def header(address, data=b"x"):
    vector = at(struct.pack("=II", at(data), len(data)))
    return struct.pack("=IIIIIIi", address, 16, vector, 1, 0, 0, 0)
ends = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(9)]
for junk in (0, JUNK):
    print("connect", *(multiplexed(3, ends[0].fileno(), inet(p), 16, junk=junk)
                       for p in (port, 9)))
print("bind", multiplexed(2, ends[1].fileno(), inet(port), 16))
print("sendto", *(multiplexed(11, ends[2].fileno(), at(b"x"), 1, 0, inet(p), 16)
                  for p in (port, 9)))
print("sendmsg", *(multiplexed(16, ends[3].fileno(), at(header(inet(p))), 0)
                   for p in (port, 9)))
both = at(b"".join(header(inet(p)) + bytes(4) for p in (9, port)))
one = at(header(inet(9)) + bytes(4))
print("sendmmsg", *(multiplexed(20, ends[4].fileno(), vector, count, 0)
                    for vector, count in ((both, 2), (one, 1))))
print("socket", multiplexed(1, 16, 3, 0), multiplexed(1, 2, 1, 0))
print("unknown", multiplexed(99, 0), multiplexed(0, 0))
print("unreadable", call.errno(SOCKETCALL, (3, 8, 0, 0, 0, 0)))
print("shmget", *(call.errno(IPC, (code | junk, 0, 4096, 0o1600, 0, 0))
                  for code in (23, 0x1_0017) for junk in (0, JUNK)))
print("semget", call.errno(IPC, (2, 0, 0, 0, 0, 0)), call.errno(IPC, (99, 0, 0, 0, 0, 0)))
"""

EXPECTED = {
    "ptrace": {
        "connect": "13 0",
        "bind": "13",
        "sendto": "13 0",
        "sendmsg": "13 0",
        "sendmmsg": "13 0",
        "socket": "18 0",
        "unknown": "22 22",
        "unreadable": "14",
        "shmget": "62 62 62 62",
        "semget": "22 38",
    },
}
EXPECTED["notify"] = {**EXPECTED["ptrace"], "socket": "18 1"}
"""Nobody can make a socket for another task, so that where a rule asks for its arguments it is
refused."""


@pytest.mark.skipif(native().name != "x86_64", reason="int 0x80 in 64-bit code is x86-64's")
@pytest.mark.parametrize("mechanism", EXPECTED)
def test_the_call_meant_is_judged(mechanism: str, tmp_path: Path) -> None:
    """By its own name and arguments, each read once, with the errors that it has itself."""
    if not Path("/proc/sys/abi").exists():
        pytest.skip("this kernel does not serve int 0x80")
    tree = Path(__file__).parents[2]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command: list[str | Path] = [sys.executable, "-c", SCRIPT, tree, str(port)]
        ran = run(mechanism, POLICY.format(port=port), command, tmp_path)
    lines = [line.partition(" ")[::2] for line in ran.stdout.splitlines()]
    assert dict(lines) == EXPECTED[mechanism], ran.stderr
    assert lines[0] == lines[1]

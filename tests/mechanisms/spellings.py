"""Tries every spelling of an address on sockets of its own, and prints what became of each.

Run as a program: `spellings.py reach PORT` (connect, sendto and sendmsg to what listens on PORT of
127.0.0.1, 127.0.0.2 and ::1) or `spellings.py bind PORT`. Lines are `SPELLING<tab>OUTCOME`: the
address that was reached or taken, or the errno.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

FAMILIES = {"unspec": 0, "unix": 1, "inet": 2, "ipx": 4, "inet6": 10, "999": 999}
HOSTS4 = ("127.0.0.1", "0.0.0.0", "127.0.0.9")
HOSTS6 = ("::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:127.0.0.9")
LENGTHS4 = (0, 1, 2, 3, 8, 15, 16, 17, 28, 128, 129)
LENGTHS6 = (2, 23, 24, 27, 28, 29)
SCOPES = (0, 1, 77)
JUNK = b"\xff" * 129

libc = ctypes.CDLL(None, use_errno=True)


class Kind(NamedTuple):
    """A socket to try an address on, bound to `source` if there is one."""

    name: str
    family: int
    type: int
    source: str = ""

    def make(self) -> socket.socket:
        found = socket.socket(self.family, self.type)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.source:
            found.bind((self.source, 0))
        return found


STREAMS = [
    Kind("tcp", socket.AF_INET, socket.SOCK_STREAM),
    Kind("tcp-bound", socket.AF_INET, socket.SOCK_STREAM, "127.0.0.2"),
    Kind("tcp6", socket.AF_INET6, socket.SOCK_STREAM),
    Kind("tcp6-bound", socket.AF_INET6, socket.SOCK_STREAM, "::1"),
    Kind("tcp6-mapped", socket.AF_INET6, socket.SOCK_STREAM, "::ffff:127.0.0.2"),
]
DATAGRAMS = [
    Kind("udp", socket.AF_INET, socket.SOCK_DGRAM),
    Kind("udp-bound", socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.2"),
    Kind("udp6", socket.AF_INET6, socket.SOCK_DGRAM),
    Kind("udp6-mapped", socket.AF_INET6, socket.SOCK_DGRAM, "::ffff:127.0.0.2"),
    Kind("unix", socket.AF_UNIX, socket.SOCK_DGRAM),
]


def addresses(port: int) -> Iterator[tuple[str, bytes, int]]:
    """Every spelling with its name: at least so many bytes, and the length to say."""
    for name, family in FAMILIES.items():
        for host in HOSTS4:
            raw = struct.pack("=H", family) + struct.pack(">H", port) + socket.inet_aton(host)
            for length in LENGTHS4:
                # What the kernel has no use for must make no difference: sin_zero has junk in it.
                yield f"{name} {host} of {length}", raw + JUNK, length
    for name in ("inet6", "unspec"):
        for host in HOSTS6:
            for scope in SCOPES:
                raw = struct.pack("=H", FAMILIES[name]) + struct.pack(">HI", port, 0)
                raw += socket.inet_pton(socket.AF_INET6, host) + struct.pack("=I", scope)
                for length in LENGTHS6:
                    yield f"{name} {host}%{scope} of {length}", raw + JUNK, length


def attempt(call: str, own: socket.socket, raw: bytes, length: int) -> str:
    """One call with the address: empty, or the errno's name."""
    buffer = ctypes.create_string_buffer(raw, len(raw))
    if call == "sendto":
        result = libc.sendto(own.fileno(), b"x", 1, 0, buffer, length)
    elif call == "sendmsg":
        data = ctypes.create_string_buffer(b"x")
        vector = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(data), 1))
        places = ctypes.addressof(buffer), length, ctypes.addressof(vector)
        result = libc.sendmsg(own.fileno(), struct.pack("PIPNPNi0P", *places, 1, 0, 0, 0), 0)
    else:
        result = getattr(libc, call)(own.fileno(), buffer, length)
    return "" if result >= 0 else errno.errorcode[ctypes.get_errno()]


def shown(address: object) -> str:
    """An address as getsockname and getpeername give it, mapped ones as IPv4."""
    if not isinstance(address, tuple):
        return "nothing"
    return f"{str(address[0]).removeprefix('::ffff:')} {address[1]}"


def reach(port: int) -> Iterator[str]:
    listeners: list[socket.socket] = []
    receivers: list[socket.socket] = []
    for family, host in ((2, "127.0.0.1"), (2, "127.0.0.2"), (10, "::1")):
        for type_, found in ((socket.SOCK_STREAM, listeners), (socket.SOCK_DGRAM, receivers)):
            own = socket.socket(family, type_)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind((host, port))
            own.setblocking(False)
            found.append(own)
    for listener in listeners:
        listener.listen(1)

    def accepted() -> None:
        for each in listeners:
            try:
                each.accept()[0].close()
            except BlockingIOError:
                continue

    def received() -> str:
        for each in receivers:
            try:
                each.recv(9)
            except BlockingIOError:
                continue
            return shown(each.getsockname())
        return "nothing"

    for call, kinds in (
        ("connect", [*STREAMS, *DATAGRAMS]),
        ("sendto", DATAGRAMS),
        ("sendmsg", DATAGRAMS),
    ):
        for kind in kinds:
            for name, raw, length in addresses(port):
                with kind.make() as own:
                    outcome = attempt(call, own, raw, length)
                    if not outcome and call == "connect":
                        try:
                            outcome = shown(own.getpeername())
                        except OSError:
                            outcome = "nothing"
                        accepted()
                    elif not outcome:
                        outcome = received()
                yield f"{call} {kind.name} {name}\t{outcome}"


def bind(port: int) -> Iterator[str]:
    for kind in [*STREAMS, *DATAGRAMS, Kind("raw", socket.AF_INET, socket.SOCK_RAW)]:
        for name, raw, length in addresses(port):
            if kind.name in ("raw", "unix") and name.startswith("unix"):
                continue
            protocol = socket.IPPROTO_UDP if kind.name == "raw" else 0
            with socket.socket(kind.family, kind.type, protocol) as found:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                outcome = attempt("bind", found, raw, length)
                if not outcome:
                    taken = found.getsockname()
                    outcome = shown((taken[0], port)) if kind.name == "raw" else shown(taken)
            yield f"bind {kind.name} {name}\t{outcome}"


if __name__ == "__main__":
    for line in (reach if sys.argv[1] == "reach" else bind)(int(sys.argv[2])):
        print(line)

"""What an address means: by the call, the socket and the bytes, as in the kernel."""

from __future__ import annotations

import socket
import struct
from errno import EAFNOSUPPORT, EINVAL
from functools import partial

import pytest

from enforcer.syscalls.sockaddr import (
    Socket,
    canonical_text,
    format_sockaddr,
    meant_address,
    meant_text,
    plain_text,
)

TCP = Socket(family=socket.AF_INET, kind=socket.SOCK_STREAM)
UDP = Socket(family=socket.AF_INET, kind=socket.SOCK_DGRAM)
UDP_BOUND = Socket(
    family=socket.AF_INET, kind=socket.SOCK_DGRAM, source=socket.inet_aton("10.0.0.5")
)
RAW = Socket(family=socket.AF_INET, kind=socket.SOCK_RAW)
TCP6 = Socket(family=socket.AF_INET6, kind=socket.SOCK_STREAM, source=bytes(16))
UDP6 = Socket(family=socket.AF_INET6, kind=socket.SOCK_DGRAM, source=bytes(16))
UDP6_MAPPED = Socket(
    family=socket.AF_INET6,
    kind=socket.SOCK_DGRAM,
    source=socket.inet_pton(socket.AF_INET6, "::ffff:10.0.0.5"),
)
RAW6 = Socket(family=socket.AF_INET6, kind=socket.SOCK_RAW, source=bytes(16))
UNIX = Socket(family=socket.AF_UNIX, kind=socket.SOCK_DGRAM)


def inet(host: str, family: int = socket.AF_INET, size: int = 16) -> bytes:
    """A struct sockaddr_in of so many bytes for port 80, with junk where the kernel looks not."""
    raw = struct.pack("=H", family) + struct.pack(">H", 80) + socket.inet_aton(host)
    return (raw + b"\xff" * 120)[:size]


def inet6(host: str, scope: int = 0, family: int = socket.AF_INET6, size: int = 28) -> bytes:
    """A struct sockaddr_in6 of so many bytes for port 80, with junk as flow and at the end."""
    raw = struct.pack("=H", family) + struct.pack(">HI", 80, 0xFFFF_FFFF)
    raw += socket.inet_pton(socket.AF_INET6, host) + struct.pack("=I", scope)
    return (raw + b"\xff" * 100)[:size]


MEANT = [
    ("connect", TCP, inet("1.2.3.4"), "inet-[1.2.3.4]:80"),
    ("connect", TCP, inet("1.2.3.4", size=128), "inet-[1.2.3.4]:80"),
    ("connect", TCP, inet("0.0.0.0"), "inet-[127.0.0.1]:80"),
    ("connect", UDP_BOUND, inet("0.0.0.0"), "inet-[10.0.0.5]:80"),
    ("connect", UDP6_MAPPED, inet("0.0.0.0"), "inet-[10.0.0.5]:80"),
    ("connect", None, inet("0.0.0.0"), "inet-[127.0.0.1]:80"),
    ("connect", TCP, inet("1.2.3.4", socket.AF_UNSPEC), "unspec-[]"),
    ("connect", TCP6, inet6("::ffff:1.2.3.4"), "inet-[1.2.3.4]:80"),
    ("connect", TCP6, inet6("::ffff:1.2.3.4", 7, size=24), "inet-[1.2.3.4]:80"),
    ("connect", TCP6, inet6("::1.2.3.4"), "inet6-[::102:304]:80"),
    ("connect", TCP6, inet6("::"), "inet6-[::1]:80"),
    ("connect", TCP6, inet6("::", size=24), "inet6-[::1]:80"),
    ("connect", None, inet6("::"), "inet6-[::1]:80"),
    ("connect", UDP6_MAPPED, inet6("::"), "inet-[127.0.0.1]:80"),
    ("connect", UDP6_MAPPED, inet6("::ffff:0.0.0.0"), "inet-[10.0.0.5]:80"),
    ("connect", TCP6, inet6("::ffff:0.0.0.0"), "inet-[127.0.0.1]:80"),
    ("connect", TCP6, inet6("::1", 5), "inet6-[::1]:80"),
    ("connect", TCP6, inet6("fe80::1", 5), "inet6-[fe80::1%5]:80"),
    ("connect", TCP6, inet6("fe80::1", 5, size=24), "inet6-[fe80::1]:80"),
    ("connect", UDP6, inet6("ff02::1", 5), "inet6-[ff02::1%5]:80"),
    ("connect", UDP6, inet6("ff05::1", 5), "inet6-[ff05::1]:80"),
    ("bind", TCP, inet("0.0.0.0"), "inet-[0.0.0.0]:80"),
    ("bind", TCP, inet("0.0.0.0", socket.AF_UNSPEC), "inet-[0.0.0.0]:80"),
    ("bind", None, inet("1.2.3.4", socket.AF_UNSPEC), "inet-[1.2.3.4]:80"),
    ("bind", RAW, inet("1.2.3.4", 999), "inet-[1.2.3.4]:80"),
    ("bind", RAW, inet("1.2.3.4", socket.AF_INET6), "inet-[1.2.3.4]:80"),
    ("bind", TCP6, inet6("::"), "inet6-[::]:80"),
    ("bind", TCP6, inet6("::ffff:0.0.0.0"), "inet-[0.0.0.0]:80"),
    ("bind", TCP, struct.pack("=H", 0), "unspec-[]"),
    ("sendto", UDP, inet("1.2.3.4", socket.AF_UNSPEC), "inet-[1.2.3.4]:80"),
    ("sendmsg", UDP, inet("0.0.0.0", socket.AF_UNSPEC), "inet-[127.0.0.1]:80"),
    ("sendmmsg", None, inet("1.2.3.4", socket.AF_UNSPEC), "inet-[1.2.3.4]:80"),
    ("sendto", UDP6, inet("1.2.3.4"), "inet-[1.2.3.4]:80"),
    ("sendto", UDP6, inet("1.2.3.4", socket.AF_UNSPEC), "unspec-[]"),
    ("sendto", RAW6, inet6("::1", family=socket.AF_UNSPEC), "inet6-[::1]:80"),
    ("sendto", UDP, b"", ""),
    ("sendto", UNIX, struct.pack("=H", 1) + b"\0name", "@name"),
]


@pytest.mark.parametrize(("call", "on", "raw", "text"), MEANT)
def test_what_an_address_means(call: str, on: Socket | None, raw: bytes, text: str) -> None:
    """The text is that of the object which the kernel would reach, and so are the bytes given on.

    To another socket, which a thread may put there meanwhile, these bytes say the same or nothing.
    """
    meant = meant_address(raw, call, lambda: on)
    assert meant.text == text
    assert meant.errno == 0
    if call != "bind":
        assert meant_address(meant.raw, call, lambda: UDP).text in (text, None)


REFUSED = [
    ("connect", TCP, b"", EINVAL),
    ("connect", TCP, inet("1.2.3.4", size=15), EINVAL),
    ("connect", TCP, inet("1.2.3.4", 999), EAFNOSUPPORT),
    ("connect", TCP6, inet6("::1", size=23), EINVAL),
    ("connect", UDP6, inet6("::1", family=999), EAFNOSUPPORT),
    ("sendto", UDP6, inet6("::1", family=999), EINVAL),
    ("sendto", UDP, inet6("::1", family=999), EAFNOSUPPORT),
    ("bind", UDP6, inet6("::1", family=999), EAFNOSUPPORT),
    ("bind", RAW6, inet6("::1", family=999), EINVAL),
    ("bind", UNIX, struct.pack("=H", 1) + b"/" * 120, EINVAL),
    ("connect", None, inet("1.2.3.4", 999), EINVAL),
]


def _same(on: Socket | None) -> Socket | None:
    return on


@pytest.mark.parametrize("on", [None, TCP, UDP, UDP_BOUND, TCP6, UDP6_MAPPED, RAW6, UNIX])
@pytest.mark.parametrize("raw", [raw for call, _, raw, _ in MEANT if call == "connect"])
def test_what_connect_is_given_means_the_same_on_every_socket(
    raw: bytes, on: Socket | None
) -> None:
    """So a judge may know it by its bytes, whatever the socket."""
    for first in (None, TCP, UDP_BOUND, UDP6_MAPPED):
        meant = meant_address(raw, "connect", partial(_same, first))
        assert meant_address(meant.raw, "connect", lambda: on) == meant


@pytest.mark.parametrize(("call", "on", "raw", "errno"), REFUSED)
def test_what_no_socket_takes(call: str, on: Socket | None, raw: bytes, errno: int) -> None:
    """Unknown families and lengths have no text, and the errno that the kernel has for them."""
    meant = meant_address(raw, call, lambda: on)
    assert (meant.text, meant.errno) == (None, errno)


@pytest.mark.parametrize("on", [None, TCP, UDP, UDP_BOUND, TCP6, UDP6_MAPPED, RAW, RAW6, UNIX])
@pytest.mark.parametrize("call", ["connect", "bind", "sendto", "sendmsg", "sendmmsg"])
def test_a_plain_text_is_every_calls_on_every_socket(call: str, on: Socket | None) -> None:
    """Whoever takes it asks neither which call it is, nor the socket."""
    plain = {
        raw: plain_text(raw) for raw in (*(row[2] for row in MEANT), *(row[2] for row in REFUSED))
    }
    for raw, text in plain.items():
        if text is not None:
            assert meant_address(raw, call, lambda: on) == (text, raw, 0)
    assert plain[inet("1.2.3.4")] == "inet-[1.2.3.4]:80"


def test_the_socket_is_asked_for_rarely() -> None:
    """Where the bytes say everything, nobody looks at the socket."""

    def look() -> Socket | None:
        raise AssertionError("looked")

    for call in ("connect", "sendto"):
        for raw in (inet("1.2.3.4"), inet6("::1"), inet6("::ffff:1.2.3.4")):
            assert meant_address(raw, call, look).text == format_sockaddr(raw)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
        ("::ABCD:0:1", "::abcd:0:1"),
        ("::1.2.3.4", "::102:304"),
        ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
    ],
)
def test_ipv6_addresses_are_written_in_one_way(host: str, text: str) -> None:
    """RFC 5952: lower case, no leading zeros, the first of the longest runs of zeros shortened."""
    assert format_sockaddr(inet6(host)) == f"inet6-[{text}]:80"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("inet6-[::ffff:127.0.0.1]:80", "inet-[127.0.0.1]:80"),
        ("inet6-[0:0:0:0:0:0:0:1]:80", "inet6-[::1]:80"),
        ("inet6-[FE80::1%2]:080", "inet6-[fe80::1%2]:80"),
        ("inet6-[::1%2]:80", "inet6-[::1]:80"),
        ("inet-[127.0.0.1]:80", "inet-[127.0.0.1]:80"),
        ("inet-[127.1]:80", "inet-[127.1]:80"),
        ("/run/socket", "/run/socket"),
    ],
)
def test_the_text_that_rules_see(written: str, text: str) -> None:
    """What spells an internet address otherwise than rules see it has one canonical text."""
    assert canonical_text(written) == text


@pytest.mark.parametrize(
    ("call", "written", "text"),
    [
        ("connect", "inet-[0.0.0.0]:80", "inet-[127.0.0.1]:80"),
        ("sendto", "inet6-[::ffff:0.0.0.0]:80", "inet-[127.0.0.1]:80"),
        ("connect", "inet6-[0::0]:80", "inet6-[::1]:80"),
        ("bind", "inet6-[0::0]:80", "inet6-[::]:80"),
        ("bind", "inet-[0.0.0.0]:80", "inet-[0.0.0.0]:80"),
    ],
)
def test_an_any_address_is_no_destination(call: str, written: str, text: str) -> None:
    """Where it is one it stands for loopback; a socket can be bound to it."""
    assert meant_text(written, call) == text

"""Socket addresses as text: one text for an object, however the kernel lets it be spelled.

What a spelling means depends on the call and the socket, as in the kernel's net/ipv4/af_inet.c,
net/ipv4/udp.c, net/ipv4/raw.c, net/ipv4/route.c, net/ipv6/ and net/unix/af_unix.c.
"""

from __future__ import annotations

import ipaddress
import os
import re
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from errno import EAFNOSUPPORT, EINVAL
from typing import NamedTuple

from enforcer.syscalls.constants import CONSTANTS

_FAMILIES = {
    value: name.removeprefix("AF_").lower()
    for name, value in CONSTANTS.items()
    if name.startswith("AF_") and name not in ("AF_LOCAL", "AF_ROUTE", "AF_MAX")
}
_UNSPEC = CONSTANTS["AF_UNSPEC"]
_UNIX = CONSTANTS["AF_UNIX"]
_INET = CONSTANTS["AF_INET"]
_INET6 = CONSTANTS["AF_INET6"]
_NETLINK = CONSTANTS["AF_NETLINK"]
_VSOCK = CONSTANTS["AF_VSOCK"]
_DATAGRAM = CONSTANTS["SOCK_DGRAM"]
_RAW = CONSTANTS["SOCK_RAW"]

_FAMILY_BYTES = 2
_INET_BYTES = 16
_INET6_BYTES = 24
"""SIN6_LEN_RFC2133: the kernel takes an IPv6 address without its scope id."""
_INET6_SCOPED_BYTES = 28
_NATIVE_INET = _INET.to_bytes(_FAMILY_BYTES, sys.byteorder)
_SMALLEST = {_INET: _INET_BYTES, _INET6: _INET6_BYTES}
_UNIX_BYTES = 110
_UNIX_PATH_BYTES = 108
_NETLINK_BYTES = 12
_VSOCK_BYTES = 16

_MAPPED = bytes(10) + b"\xff\xff"
_HALF = {True: struct.Struct(">H"), False: struct.Struct("<H")}
_PORT_AND_HOST = struct.Struct(">H4B")
_DECIMAL = tuple(map(str, range(256)))
"""Octets as text: an address's four, formatted, take as long as a rule."""
_ANY, _ANY6 = bytes(4), bytes(16)
_LOOPBACK, _LOOPBACK6 = b"\x7f\x00\x00\x01", bytes(15) + b"\x01"

_LOOKS_OTHERWISE = re.compile(r"[a-z0-9_]+-\[|@|\Z")
_INTERNET_TEXT = re.compile(r"inet6?-\[([0-9A-Fa-f.:]+)(?:%([0-9]+))?\]:([0-9]+)\Z", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Socket:
    """The socket of a call: SO_DOMAIN, SO_TYPE, and the internet address that it is bound to."""

    family: int
    kind: int
    source: bytes = b""


Look = Callable[[], Socket | None]
"""Asks for the socket of a call; None where the caller has no such descriptor."""


class Address(NamedTuple):
    """What an address of a call means.

    `text` is what rules compare, None where it cannot be told: the kernel has no use for such an
    address, and says so with `errno`. `raw` are the bytes to hand to the kernel, in which no choice
    is left to what the socket may have become meanwhile: to connect(2) they mean the same on every
    socket.
    """

    text: str | None
    raw: bytes
    errno: int = 0


def no_socket() -> Socket | None:
    """Looks at no socket: what the address alone says."""
    return None


def meant_address(
    raw: bytes, call: str, look: Look = no_socket, *, big_endian: bool = sys.byteorder == "big"
) -> Address:
    """The meaning of `raw` as an address of `call` (connect, bind, sendto, sendmsg, sendmmsg).

    The socket is asked for only where it makes a difference. Without one AF_UNSPEC is taken for
    AF_INET wherever some socket would (bind, sending), so that nothing goes by unjudged.
    """
    if not raw and call not in ("bind", "connect"):
        return Address(text="", raw=raw)
    if len(raw) < _FAMILY_BYTES:
        return Address(text=None, raw=raw, errno=EINVAL)
    order = ">" if big_endian else "<"
    (family,) = _HALF[big_endian].unpack_from(raw)
    if call == "bind":
        family, given = _bound(raw, family, look), raw
    elif call == "connect":
        # An AF_UNSPEC dissolves the association, whatever follows it (__inet_stream_connect).
        given = raw[:_FAMILY_BYTES] if family == _UNSPEC else raw
    else:
        family, given = _sent(raw, family, look, order)
    if call != "bind":
        given = _destination(given, family, look)
    text = _text(given, family, order)
    if text is None:
        return Address(text=None, raw=given, errno=refusal(raw, call, look()))
    return Address(text=text, raw=given)


def plain_text(raw: bytes) -> str | None:
    """The text of an internet address that means the same to every call and on every socket.

    None of any other: for its meaning see `meant_address`, which says the same of this one.
    """
    if raw[:_FAMILY_BYTES] != _NATIVE_INET or len(raw) < _INET_BYTES or raw[4:8] == _ANY:
        return None
    return _inet(raw)


def format_sockaddr(raw: bytes, *, big_endian: bool = sys.byteorder == "big") -> str | None:
    """The text of an address of `len(raw)` bytes; None if no socket takes it, or none is known.

    `inet-[ADDR]:PORT` (also for an IPv4-mapped IPv6 address), `inet6-[ADDR]:PORT` (with `%SCOPE`
    where the kernel looks at one), the path of a socket in the file system, `@NAME` for an abstract
    one (zero bytes as `\\0`, backslashes doubled), `unix-[]` for an unnamed one, `unspec-[]`, and
    `FAMILY-[HEX]` for the rest of the families. A path that looks like one of the others has `./`
    before it. Bytes that are not UTF-8 are surrogate escapes. `big_endian` is the target's.
    """
    if len(raw) < _FAMILY_BYTES:
        return None
    order = ">" if big_endian else "<"
    (family,) = struct.unpack_from(order + "H", raw)
    return _text(raw, family, order)


def canonical_text(text: str) -> str:
    """The text under which rules see the internet address that `text` spells; others unchanged."""
    found = _INTERNET_TEXT.match(text)
    if found is None:
        return text
    try:
        packed = ipaddress.ip_address(found.group(1)).packed
    except ValueError:
        return text
    port = int(found.group(3))
    if len(packed) == len(_ANY):
        return f"inet-[{_dotted(packed)}]:{port}"
    return _internet6(packed, port, int(found.group(2) or 0))


def meant_text(text: str, call: str) -> str:
    """The text under which rules see the address that `text` spells, as one of `call`.

    An any-address is no destination, but loopback, as for a socket that is bound to nothing.
    """
    written = canonical_text(text)
    if call == "bind":
        return written
    for any_address, loopback in (
        ("inet-[0.0.0.0]:", "inet-[127.0.0.1]:"),
        ("inet6-[::]:", "inet6-[::1]:"),
    ):
        if written.startswith(any_address):
            return loopback + written.removeprefix(any_address)
    return written


def _bound(raw: bytes, family: int, look: Look) -> int:
    """The family that a bind takes the address for.

    __inet_bind takes AF_UNSPEC for AF_INET (if the address is INADDR_ANY, else it fails), raw_bind
    whatever stands there. Other sockets refuse both.
    """
    if len(raw) < _INET_BYTES or family == _INET:
        return family
    socket = look()
    is_raw = socket is not None and (socket.family, socket.kind) == (_INET, _RAW)
    return _INET if is_raw or family == _UNSPEC else family


def _sent(raw: bytes, family: int, look: Look, order: str) -> tuple[int, bytes]:
    """The family that sending takes the address for, and the bytes that say so to any socket.

    udp_sendmsg and raw_sendmsg take AF_UNSPEC for AF_INET, rawv6_sendmsg for AF_INET6; for
    udpv6_sendmsg it is no address at all, so that the message goes where the socket is connected.
    """
    if family != _UNSPEC:
        return family, raw
    socket = look()
    if socket is not None and socket.family == _INET6:
        if socket.kind == _RAW:
            return _INET6, struct.pack(order + "H", _INET6) + raw[_FAMILY_BYTES:]
        return _UNSPEC, raw[:_FAMILY_BYTES]
    return _INET, raw


def _destination(raw: bytes, family: int, look: Look) -> bytes:
    """The address with an any-address replaced by what the kernel takes it for as a destination.

    IPv4: the source that the socket is bound to, else loopback (ip_route_output_key_hash_rcu).
    IPv6: loopback, that of IPv4 where the socket is bound to a mapped address (tcp_v6_connect,
    __ip6_datagram_connect, udpv6_sendmsg).
    """
    if family == _INET and len(raw) >= _INET_BYTES and raw[4:8] == _ANY:
        return raw[:4] + (_source(look()) or _LOOPBACK) + raw[8:]
    if family != _INET6 or len(raw) < _INET6_BYTES:
        return raw
    address = raw[8:24]
    if address == _ANY6:
        socket = look()
        is_mapped = socket is not None and socket.source.startswith(_MAPPED)
        address = _MAPPED + _LOOPBACK if is_mapped else _LOOPBACK6
    elif address == _MAPPED + _ANY:
        address = _MAPPED + (_source(look()) or _LOOPBACK)
    return raw[:8] + address + raw[24:]


def _source(socket: Socket | None) -> bytes:
    """The IPv4 address that a socket is bound to; empty if it is bound to none."""
    if socket is None or (socket.family == _INET6 and not socket.source.startswith(_MAPPED)):
        return b""
    found = socket.source[-len(_ANY) :]
    return b"" if found == _ANY else found


def refusal(raw: bytes, call: str, socket: Socket | None) -> int:
    """What the kernel says to an address that the socket has no use for.

    Sockets of the internet families look at the length first.
    """
    if socket is None or len(raw) < _SMALLEST.get(socket.family, len(raw) + 1):
        return EINVAL
    if socket.family == _INET6 and call != "connect":
        return EINVAL if socket.kind == (_RAW if call == "bind" else _DATAGRAM) else EAFNOSUPPORT
    return EAFNOSUPPORT


def _text(raw: bytes, family: int, order: str) -> str | None:
    body = raw[_FAMILY_BYTES:]
    size = len(raw)
    if family == _UNIX:
        return _unix(body) if size <= _UNIX_BYTES else None
    if family == _INET:
        return _inet(raw) if size >= _INET_BYTES else None
    if family == _INET6:
        return _inet6(body, order) if size >= _INET6_BYTES else None
    if family == _UNSPEC:
        return "unspec-[]"
    if family == _NETLINK:
        if size < _NETLINK_BYTES:
            return None
        pid, groups = struct.unpack_from(order + "2xII", body)
        return f"netlink-[{pid}]:{groups}"
    if family == _VSOCK:
        if size < _VSOCK_BYTES:
            return None
        port, cid = struct.unpack_from(order + "2xII", body)
        return f"vsock-[{cid}]:{port}"
    return f"{_FAMILIES[family]}-[{body.hex()}]" if family in _FAMILIES else None


def _unix(body: bytes) -> str:
    if not body:
        return "unix-[]"
    if body[0] == 0:
        return "@" + os.fsdecode(body[1:]).replace("\\", "\\\\").replace("\0", "\\0")
    path = os.fsdecode(body[:_UNIX_PATH_BYTES].split(b"\0", 1)[0])
    return f"./{path}" if _LOOKS_OTHERWISE.match(path) else path


def _inet(raw: bytes) -> str:
    port, a, b, c, d = _PORT_AND_HOST.unpack_from(raw, _FAMILY_BYTES)
    text = _DECIMAL
    return f"inet-[{text[a]}.{text[b]}.{text[c]}.{text[d]}]:{port}"


def _inet6(body: bytes, order: str) -> str:
    (port,) = struct.unpack_from(">H", body)
    is_scoped = len(body) >= _INET6_SCOPED_BYTES - _FAMILY_BYTES
    scope = struct.unpack_from(order + "I", body, 22)[0] if is_scoped else 0
    return _internet6(body[6:22], port, scope)


def _internet6(address: bytes, port: int, scope: int) -> str:
    if address.startswith(_MAPPED):
        return f"inet-[{_dotted(address[12:])}]:{port}"
    shown = f"%{scope}" if scope and _needs_scope(address) else ""
    return f"inet6-[{_compressed(address)}{shown}]:{port}"


def _needs_scope(address: bytes) -> bool:
    """__ipv6_addr_needs_scope_id: link-local, or multicast to the interface or the link."""
    if address[0] == 0xFF:
        return address[1] & 0xF in (1, 2)
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def _dotted(address: bytes) -> str:
    return ".".join(map(str, address))


def _compressed(address: bytes) -> str:
    """RFC 5952: the first of the longest runs of zero words as `::`, if it has two or more."""
    words = [f"{word:x}" for word in struct.unpack(">8H", address)]
    runs = re.finditer("0+", "".join("0" if word == "0" else "x" for word in words))
    start, end = max((run.span() for run in runs), key=lambda r: r[1] - r[0], default=(0, 0))
    if end - start < 2:
        return ":".join(words)
    return f"{':'.join(words[:start])}::{':'.join(words[end:])}"

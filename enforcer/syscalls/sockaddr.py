"""Socket addresses as text, from the bytes that the kernel would read."""

from __future__ import annotations

import ipaddress
import os
import re
import struct
import sys

from enforcer.syscalls.constants import CONSTANTS

_FAMILIES = {
    value: name.removeprefix("AF_").lower()
    for name, value in CONSTANTS.items()
    if name.startswith("AF_") and name not in ("AF_LOCAL", "AF_ROUTE", "AF_MAX")
}
_UNIX = CONSTANTS["AF_UNIX"]
_INET = CONSTANTS["AF_INET"]
_INET6 = CONSTANTS["AF_INET6"]
_NETLINK = CONSTANTS["AF_NETLINK"]
_VSOCK = CONSTANTS["AF_VSOCK"]

_FAMILY_BYTES = 2
_UNIX_PATH_BYTES = 108
_LOOKS_OTHERWISE = re.compile(r"[a-z0-9_]+-\[|@|\Z")


def format_sockaddr(raw: bytes, *, big_endian: bool = sys.byteorder == "big") -> str | None:
    """The text of an address of `len(raw)` bytes; None if it is too short for its family.

    `inet-[ADDR]:PORT`, `inet6-[ADDR]:PORT` (with `%SCOPE` where one is given), the path of a socket
    in the file system, `@NAME` for an abstract one (zero bytes as `\\0`), `unix-[]` for an unnamed
    one, `unspec-[]`, and `FAMILY-[HEX]` for the rest. A path that looks like one of the others has
    `./` before it. Bytes that are not UTF-8 are surrogate escapes. `big_endian` is the target's.
    """
    order = ">" if big_endian else "<"
    if len(raw) < _FAMILY_BYTES:
        return None
    (family,) = struct.unpack_from(order + "H", raw)
    body = raw[_FAMILY_BYTES:]
    if family == _UNIX:
        return _unix(body)
    if family == _INET:
        return _inet(body)
    if family == _INET6:
        return _inet6(body, order)
    if family == 0:
        return "unspec-[]"
    if family == _NETLINK and len(body) >= 10:
        pid, groups = struct.unpack_from(order + "2xII", body)
        return f"netlink-[{pid}]:{groups}"
    if family == _VSOCK and len(body) >= 10:
        port, cid = struct.unpack_from(order + "2xII", body)
        return f"vsock-[{cid}]:{port}"
    return f"{_FAMILIES.get(family, f'family{family}')}-[{body.hex()}]"


def _unix(body: bytes) -> str:
    if not body:
        return "unix-[]"
    if body[0] == 0:
        return "@" + os.fsdecode(body[1:]).replace("\0", "\\0")
    path = os.fsdecode(body[:_UNIX_PATH_BYTES].split(b"\0", 1)[0])
    return f"./{path}" if _LOOKS_OTHERWISE.match(path) else path


def _inet(body: bytes) -> str | None:
    if len(body) < 6:
        return None
    (port,) = struct.unpack_from(">H", body)
    return f"inet-[{ipaddress.IPv4Address(body[2:6])}]:{port}"


def _inet6(body: bytes, order: str) -> str | None:
    if len(body) < 22:
        return None
    (port,) = struct.unpack_from(">H", body)
    scope = struct.unpack_from(order + "I", body, 22)[0] if len(body) >= 26 else 0
    address = ipaddress.IPv6Address(body[6:22])
    return f"inet6-[{address}{f'%{scope}' if scope else ''}]:{port}"

"""A supervisor that compares addresses as its target has written them."""

from __future__ import annotations

import socket
import struct
import sys

from enforcer.mechanisms.notify import MECHANISM, Notify
from enforcer.mechanisms.notify.worker import Worker
from enforcer.supervision.judge import Values
from enforcer.syscalls.arguments import read_address
from enforcer.syscalls.sockaddr import format_sockaddr
from harness.backends.weak import Leaky

_ADDRESS = {"connect": 1, "sendto": 4}
"""The register of the address, before that of its length."""


class _JudgesSpellings(Worker):
    def decide(self, values: Values, missing: int = 0) -> int:
        """Rules see what stands in memory, which the kernel may take for another address."""
        if self.name in _ADDRESS:
            place = _ADDRESS[self.name]
            raw = read_address(self, *self.args[place : place + 2])
            values = {**values, "sockaddr": [_written(raw)]}
        return super().decide(values, missing)


def _written(raw: bytes) -> str | None:
    (family,) = struct.unpack_from("=H", raw)
    if family != socket.AF_INET6:
        return format_sockaddr(raw, big_endian=sys.byteorder == "big")
    (port,) = struct.unpack_from(">H", raw, 2)
    return f"inet6-[{socket.inet_ntop(family, raw[8:24])}]:{port}"


class _Notify(Notify):
    make_worker = _JudgesSpellings


BACKEND = Leaky(
    name="leaky-notify-spelling",
    weakness="compares addresses as they are written, not as the kernel takes them",
    enforcer=_Notify(),
    repaired=MECHANISM,
)

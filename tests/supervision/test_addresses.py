"""What an address means on the caller's socket: worked out once only where every socket agrees."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable

import pytest

from enforcer.supervision import addresses
from enforcer.supervision.addresses import meant_by
from enforcer.syscalls import sockaddr


def internet(host: str, port: int = 80) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton(host)


def spelled(host: str) -> bytes:
    return internet(host) + bytes(8)


def bound_to(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    return made


def test_an_any_address_means_what_each_socket_is_bound_to() -> None:
    """The same bytes are two destinations, one after the other."""
    with bound_to("127.0.0.1") as first, bound_to("127.0.0.2") as second:
        found = [
            meant_by(spelled("0.0.0.0"), call, 0, _gives(each)).text
            for call in ("connect", "sendto")
            for each in (first, second)
        ]
    assert found == ["inet-[127.0.0.1]:80", "inet-[127.0.0.2]:80"] * 2


def test_what_no_socket_changes_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By call and bytes: an any-address is one to a bind, and loopback to what is sent."""
    worked: list[tuple[bytes, str]] = []
    plain = sockaddr.meant_address

    def meant_address(raw: bytes, call: str, look: Callable[[], None]) -> object:
        worked.append((raw, call))
        return plain(raw, call, look)

    monkeypatch.setattr(addresses, "meant_address", meant_address)
    monkeypatch.setattr(addresses, "_meanings", {})
    with bound_to("127.0.0.1") as made:
        for _ in "ab":
            found = meant_by(spelled("127.0.0.9"), "sendto", 0, _gives(made))
            assert found.text == "inet-[127.0.0.9]:80"
        for _ in "ab":
            meant_by(spelled("127.0.0.9"), "bind", 0, _gives(made))
        for _ in "ab":
            assert meant_by(b"\x02\0", "sendto", 0, _gives(made)).text is None
    assert [call for _, call in worked] == ["sendto", "bind", "sendto", "sendto"]


def test_what_is_worked_out_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that makes addresses up does not fill its supervisor's memory."""
    monkeypatch.setattr(addresses, "_meanings", {})
    monkeypatch.setattr(addresses, "_MOST_MEANINGS", 10)
    with bound_to("127.0.0.1") as made:
        for port in range(100):
            raw = internet("127.0.0.1", port) + bytes(8)
            assert meant_by(raw, "sendto", 0, _gives(made)).text == f"inet-[127.0.0.1]:{port}"
    assert len(addresses._meanings) <= 10


def _gives(made: socket.socket) -> Callable[[int], int]:
    return lambda descriptor: os.dup(made.fileno())

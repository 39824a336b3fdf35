"""What can be told of a socket by its descriptor."""

from __future__ import annotations

import os
import socket

import pytest

from enforcer.kernel.sockets import may_wait


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (socket.SOCK_DGRAM, False),
        (socket.SOCK_STREAM, True),
        (socket.SOCK_STREAM | socket.SOCK_NONBLOCK, False),
    ],
)
def test_what_may_wait_for_a_peer(kind: int, expected: bool) -> None:
    """A stream does unless it is told not to; a datagram socket never."""
    with socket.socket(socket.AF_INET, kind) as each:
        assert may_wait(each.fileno()) is expected


def test_what_is_no_socket_may_wait() -> None:
    """Nothing is known of it."""
    reading, writing = os.pipe()
    try:
        assert may_wait(reading)
    finally:
        os.close(reading)
        os.close(writing)

"""A raw socket (CAP_NET_RAW) has its own ideas of what an address is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mechanisms.acting import bare_acts, run_acts


def _is_possible() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).close()
    except PermissionError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _is_possible(), reason="no raw sockets (CAP_NET_RAW)")

MECHANISMS = pytest.mark.parametrize("mechanism", ["ptrace", "notify"])

ADDRESSES = """
  - deny[econnrefused]: [connect, sendto, sendmsg, sendmmsg]
    when: sockaddr eq "inet-[127.0.0.1]:{port}"
"""
TYPES = """
  - deny: socket
    when: socktype sub "SOCK_RAW" and sockdom sub "AF_INET"
"""
SEND = """
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW | {flags}, socket.IPPROTO_UDP)
    packet = struct.pack(">HHHH", 9, {port}, 12, 0) + b"here"
    return call("sendto", raw.fileno(), packet, 12, 0, inet({named}), 16)
"""


@pytest.fixture
def service() -> Iterator[socket.socket]:
    """A denied one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        found.setblocking(False)
        yield found


@MECHANISMS
@pytest.mark.parametrize("is_denied", [False, True], ids=["rules on addresses", "and on types"])
def test_the_port_of_a_raw_packet_is_in_the_packet(
    mechanism: str, is_denied: bool, service: socket.socket, tmp_path: Path
) -> None:
    """Rules on addresses do not see it (docs/limits.md); a rule on the socket's type does."""
    port = service.getsockname()[1]
    acts = {
        name: SEND.format(flags=flags, port=port, named=named)
        for name, flags, named in (("none", 0, 0), ("another", "socket.SOCK_CLOEXEC", 9))
    }
    rules = TYPES * is_denied + ADDRESSES.format(port=port)
    _, found = run_acts(mechanism, f"default: permit\nrules:{rules}", acts, tmp_path)
    assert set(found.values()) == ({"-1"} if is_denied else {"12"})
    if is_denied:
        with pytest.raises(BlockingIOError):
            service.recv(9)
    else:
        service.settimeout(60)
        assert [service.recv(9) for _ in acts] == [b"here"] * len(acts)


BIND = """
    address = struct.pack("=H", 1) + b"xx" + socket.inet_aton("127.1.1.1") + bytes(8)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    return call("bind", raw.fileno(), address, 16), raw.getsockname()[0]
"""


@MECHANISMS
def test_what_was_judged_as_a_path_is_bound_to_no_address(mechanism: str, tmp_path: Path) -> None:
    """raw_bind takes any family for AF_INET: what rules see as a path would be an address."""
    policy = """
default: permit
rules:
  - deny[eacces]: bind
    when: sockaddr sub "127.1.1.1"
"""
    _, found = run_acts(mechanism, policy, {"bind": BIND}, tmp_path)
    assert bare_acts({"bind": BIND}, tmp_path) == {"bind": "(0, '127.1.1.1')"}
    assert found == {"bind": "(-22, '0.0.0.0')"}

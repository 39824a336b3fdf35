"""socketcall and ipc, call by call: which call a number means, and where its arguments are."""

from __future__ import annotations

import pytest

from enforcer.syscalls import SubCall, number, split

SOCKETCALLS = """
    socket 3, bind 3, connect 3, listen 2, accept 3, getsockname 3, getpeername 3, socketpair 4,
    sendto 4, recvfrom 4, sendto 6, recvfrom 6, shutdown 2, setsockopt 5, getsockopt 5, sendmsg 3,
    recvmsg 3, accept4 4, recvmmsg 5, sendmmsg 4
"""
"""SYS_SOCKET (1) and on, linux/net.h, with the words that net/socket.c takes of each."""

ARGUMENTS = (0, 11, 12, 13, 14, 15)
IPC = {
    1: ("semop", (11, 14, 12, 0, 0, 0)),
    2: ("semget", (11, 12, 13, 0, 0, 0)),
    3: ("semctl", (11, 12, 13, 14, 0, 0)),
    4: ("semtimedop", (11, 14, 12, 15, 0, 0)),
    11: ("msgsnd", (11, 14, 12, 13, 0, 0)),
    13: ("msgget", (11, 12, 0, 0, 0, 0)),
    14: ("msgctl", (11, 12, 14, 0, 0, 0)),
    21: ("shmat", (11, 14, 12, 0, 0, 0)),
    22: ("shmdt", (14, 0, 0, 0, 0, 0)),
    23: ("shmget", (11, 12, 13, 0, 0, 0)),
    24: ("shmctl", (11, 12, 14, 0, 0, 0)),
}
"""linux/ipc.h; call, first, second, third, ptr, fifth of ipc(2) are 0 and 11 to 15 here."""


def meant(abi: str, name: str, *args: int) -> SubCall | None:
    nr = number(abi, name)
    assert nr is not None
    return split(abi, nr, (*args, 0, 0, 0, 0, 0, 0)[:6])


@pytest.mark.parametrize("abi", ["i386", "s390x", "ppc64le"])
def test_socketcalls(abi: str) -> None:
    """Twenty calls; the arguments lie in memory, as many words as the call has."""
    calls = [each.split() for each in SOCKETCALLS.split(",")]
    for code, (name, count) in enumerate(calls, 1):
        expected = SubCall(name=name, address=0x8000, count=int(count))
        assert meant(abi, "socketcall", code, 0x8000) == expected
        assert meant(abi, "socketcall", code | 0xAB << 32, 0x8000) == expected
        assert meant(abi, "socketcall", code | 1 << 16, 0x8000) is None
    for code in (0, 21, 0xFFFF_FFFF):
        assert meant(abi, "socketcall", code, 0x8000) is None


@pytest.mark.parametrize("abi", ["i386", "s390x", "ppc64le"])
def test_ipc_calls(abi: str) -> None:
    """The number is the lower sixteen bits, the version above them; the upper half is junk."""
    for code in range(64):
        if code == 12:
            continue
        name, args = IPC.get(code, ("", ()))
        if abi == "s390x" and code == 4:
            args = (11, 14, 12, 13, 0, 0)
        for junk in (0, 1 << 16, 0xAB << 32):
            found = meant(abi, "ipc", code | junk, *ARGUMENTS[1:])
            if not name:
                assert found is None, code
                continue
            assert found is not None, code
            assert (found.name, found.args, found.address, found.count) == (name, args, 0, 0)


@pytest.mark.parametrize("abi", ["i386", "s390x", "ppc64le"])
def test_msgrcv(abi: str) -> None:
    """Version 0 has buffer and type in a struct of two words; later ones in registers."""
    old = meant(abi, "ipc", 12, *ARGUMENTS[1:])
    assert old == SubCall(name="msgrcv", address=14, count=2)
    assert meant(abi, "ipc", 12 | 0xAB << 32, *ARGUMENTS[1:]) == old
    new = SubCall(name="msgrcv", args=(11, 14, 12, 15, 13, 0))
    for version in (1, 2, 0xFFFF):
        assert meant(abi, "ipc", version << 16 | 12, *ARGUMENTS[1:]) == new


def test_other_abis_have_no_multiplexer() -> None:
    """A call is itself, with its registers; an unlisted number is nothing."""
    assert number("x86_64", "socketcall") is None
    assert meant("x86_64", "socket", 1, 2, 3, 4, 5, 6) == SubCall(
        name="socket", args=(1, 2, 3, 4, 5, 6)
    )
    assert split("x86_64", 5000, (0,) * 6) is None

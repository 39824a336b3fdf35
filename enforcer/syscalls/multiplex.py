"""socketcall and ipc: calls that stand for others, which their first argument names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import EINVAL, ENOSYS
from struct import Struct

from enforcer.arch import ABIS
from enforcer.arch.record import Abi
from enforcer.syscalls.memory import Arguments, Memory
from enforcer.syscalls.numbers import name

SOCKETCALLS: Mapping[int, tuple[str, int]] = {
    1: ("socket", 3),
    2: ("bind", 3),
    3: ("connect", 3),
    4: ("listen", 2),
    5: ("accept", 3),
    6: ("getsockname", 3),
    7: ("getpeername", 3),
    8: ("socketpair", 4),
    9: ("send", 4),
    10: ("recv", 4),
    11: ("sendto", 6),
    12: ("recvfrom", 6),
    13: ("shutdown", 2),
    14: ("setsockopt", 5),
    15: ("getsockopt", 5),
    16: ("sendmsg", 3),
    17: ("recvmsg", 3),
    18: ("accept4", 4),
    19: ("recvmmsg", 5),
    20: ("sendmmsg", 4),
}
"""SYS_* of linux/net.h: the call meant and how many words its argument array has."""

IPC_CALLS: Mapping[int, tuple[str, tuple[int, ...]]] = {
    1: ("semop", (1, 4, 2)),
    2: ("semget", (1, 2, 3)),
    3: ("semctl", (1, 2, 3, 4)),
    4: ("semtimedop", (1, 4, 2, 5)),
    11: ("msgsnd", (1, 4, 2, 3)),
    12: ("msgrcv", (1, 4, 2, 5, 3)),
    13: ("msgget", (1, 2)),
    14: ("msgctl", (1, 2, 4)),
    21: ("shmat", (1, 4, 2)),
    22: ("shmdt", (4,)),
    23: ("shmget", (1, 2, 3)),
    24: ("shmctl", (1, 2, 4)),
}
"""Calls of linux/ipc.h: the call meant and which registers of ipc hold its arguments.

The kernel of s390x takes semtimedop's timeout from register 3 and has no register 5. With version
0 msgrcv reads buffer and type from a struct, and semctl's fourth argument is behind the pointer.
"""

_IPC_OF_S390X = {**IPC_CALLS, 4: ("semtimedop", (1, 4, 2, 3))}


@dataclass(frozen=True, kw_only=True)
class SubCall:
    """The call that a multiplexer stands for.

    `name` is the kernel's name of the call meant (send and recv, which most ABIs lack, are sendto
    and recvfrom without an address). `args` are its registers, or None when they lie in memory: as
    `count` words of the ABI's pointer size from `address`.
    """

    name: str
    args: tuple[int, int, int, int, int, int] | None = None
    address: int = 0
    count: int = 0


UNKNOWN: Mapping[str, int] = {"socketcall": EINVAL, "ipc": ENOSYS}
"""What the kernel says of a code that it does not know (sys_socketcall, sys_ipc)."""


def read_arguments(memory: Memory, abi: Abi, meant: SubCall) -> Arguments:
    """The six arguments of the call meant. Raises UnreadableMemory."""
    if meant.args is not None:
        return meant.args
    size = abi.pointer_size
    raw = memory.read_bytes(meant.address, meant.count * size)
    return _six(Struct(f"={meant.count}{'Q' if size == 8 else 'I'}").unpack(raw))


def split(abi: str, nr: int, args: Sequence[int]) -> SubCall | None:
    """The call that number `nr` with these registers stands for; None if it is unknown.

    A call that is no multiplexer stands for itself. None is answered as UNKNOWN says.
    """
    called = name(abi, nr)
    if called is None:
        return None
    if called not in ABIS[abi].multiplexers:
        return SubCall(name=called, args=_six(args))
    if called == "socketcall":
        entry = SOCKETCALLS.get(args[0] & 0xFFFF_FFFF)
        if entry is None:
            return None
        meant, count = entry
        return SubCall(name=_WITHOUT_ADDRESS.get(meant, meant), address=args[1], count=count)
    return _split_ipc(abi, args)


_WITHOUT_ADDRESS = {"send": "sendto", "recv": "recvfrom"}


def _split_ipc(abi: str, args: Sequence[int]) -> SubCall | None:
    command = args[0] & 0xFFFF_FFFF
    calls = _IPC_OF_S390X if abi == "s390x" else IPC_CALLS
    entry = calls.get(command & 0xFFFF)
    if entry is None:
        return None
    meant, registers = entry
    if meant == "msgrcv" and command >> 16 == 0:
        return SubCall(name=meant, address=args[4], count=2)
    return SubCall(name=meant, args=_six([args[register] for register in registers]))


def _six(args: Sequence[int]) -> tuple[int, int, int, int, int, int]:
    a, b, c, d, e, f = (*args, 0, 0, 0, 0, 0, 0)[:6]
    return (a, b, c, d, e, f)

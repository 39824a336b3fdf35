"""The numbers of ioctl commands, which powerpc puts together in a way of its own."""

from __future__ import annotations

from enforcer.arch import native
from enforcer.arch.record import IoctlDirections

_DIRECTIONS = native().ioctl_directions


def plain(kind: int, number: int) -> int:
    """A command without an argument in memory (_IO)."""
    return encode(_DIRECTIONS, _DIRECTIONS.none, chr(kind), number, 0)


def to_kernel(kind: str, number: int, size: int) -> int:
    """A command whose argument of `size` bytes the kernel reads (_IOW)."""
    return encode(_DIRECTIONS, _DIRECTIONS.write, kind, number, size)


def both_ways(kind: str, number: int, size: int) -> int:
    """A command whose argument of `size` bytes the kernel reads and writes (_IOWR)."""
    return encode(_DIRECTIONS, _DIRECTIONS.read | _DIRECTIONS.write, kind, number, size)


def encode(directions: IoctlDirections, direction: int, kind: str, number: int, size: int) -> int:
    """_IOC(direction, kind, number, size) on the architecture of `directions`."""
    return direction << directions.shift | size << 16 | ord(kind) << 8 | number

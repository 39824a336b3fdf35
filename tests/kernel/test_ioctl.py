"""Command numbers as the kernel's headers give them on each kind of architecture."""

from __future__ import annotations

import pytest

from enforcer.arch import ARCHES
from enforcer.kernel import ioctl, notification


@pytest.mark.parametrize(
    ("arch", "receive", "id_valid"),
    [("x86_64", 0xC0502100, 0x40082102), ("ppc64le", 0xC0502100, 0x80082102)],
)
def test_commands_of_the_listener(arch: str, receive: int, id_valid: int) -> None:
    """SECCOMP_IOCTL_NOTIF_RECV and _ID_VALID of linux/seccomp.h, under both encodings."""
    ways = ARCHES[arch].ioctl_directions
    size = notification.NOTIFICATION.size
    assert ioctl.encode(ways, ways.read | ways.write, "!", 0, size) == receive
    assert ioctl.encode(ways, ways.write, "!", 2, 8) == id_valid

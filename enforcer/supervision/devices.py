"""The device that a held call makes a node of, which has a name in /dev already.

A node is another name for its device: opening it never looks at where it lies (chrdev_open in
fs/char_dev.c goes by i_rdev alone). So whoever makes one gives the device a new name.
"""

from __future__ import annotations

import os
import stat

from enforcer.kernel import sysfs
from enforcer.policy.renaming import DEVICE
from enforcer.supervision.judge import Values
from enforcer.syscalls import syscall
from enforcer.syscalls.memory import Arguments

_NOTHING: Values = {}
_WHITEOUT = 0
"""A character device without a driver, by which overlays hide names (WHITEOUT_DEV in fs.h)."""


def device_texts(call: str, abi: str, args: Arguments) -> Values:
    """What a judge is told of the device: its name, None where it has none; nothing without one."""
    node = syscall(call, abi).node
    if node is None:
        return _NOTHING
    mode, number = args[node.mode] & 0xFFFF, args[node.device] & 0xFFFF_FFFF
    is_block = stat.S_ISBLK(mode)
    if not is_block and (not stat.S_ISCHR(mode) or number == _WHITEOUT):
        return _NOTHING
    # new_decode_dev in linux/kdev_t.h: twelve bits of major number within twenty of the minor one.
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    name = sysfs.device_name(is_block, major, minor)
    return {DEVICE: (None if name is None else f"/dev/{os.fsdecode(name)}",)}

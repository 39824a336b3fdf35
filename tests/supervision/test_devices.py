"""What a supervisor learns of the device that a held call makes a node of."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from enforcer.kernel.raw import NATIVE_ABI
from enforcer.policy.renaming import DEVICE
from enforcer.supervision.devices import device_texts
from harness import process

ZERO, PTMX_MINOR = os.makedev(1, 5), 2


def kernel_number(major: int, minor: int) -> int:
    """As mknod(2) takes it."""
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


@pytest.mark.parametrize(
    ("mode", "number", "expected"),
    [
        (stat.S_IFCHR, kernel_number(1, 5), "/dev/zero"),
        (stat.S_IFCHR | 0o600, kernel_number(1, 5) | 7 << 32, "/dev/zero"),
        (stat.S_IFCHR | 1 << 16, kernel_number(1, 5), "/dev/zero"),
        (stat.S_IFCHR, kernel_number(1, 5 + (1 << 8)), None),
        (stat.S_IFBLK, kernel_number(1, 5), None),
        (stat.S_IFCHR, kernel_number(0xFFF, 7), None),
    ],
)
def test_a_device_has_the_name_that_the_kernel_gives_it(
    mode: int, number: int, expected: str | None
) -> None:
    """The kernel takes 16 bits of the mode and 32 of the number; block devices are others."""
    if not Path("/sys/dev/char/1:5").exists():
        pytest.skip("no sysfs at /sys")
    assert device_texts("mknod", NATIVE_ABI, (0, mode, number, 0, 0, 0)) == {DEVICE: (expected,)}
    assert device_texts("mknodat", NATIVE_ABI, (0, 0, mode, number, 0, 0)) == {DEVICE: (expected,)}


@pytest.mark.parametrize("mode", [0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR])
def test_other_files_are_no_devices(mode: int) -> None:
    """Nor is an overlay's whiteout, nor what another call does."""
    assert device_texts("mknod", NATIVE_ABI, (0, mode, ZERO, 0, 0, 0)) == {}
    assert device_texts("mknod", NATIVE_ABI, (0, stat.S_IFCHR, 0, 0, 0, 0)) == {}
    assert device_texts("mkdir", NATIVE_ABI, (0, stat.S_IFCHR, ZERO, 0, 0, 0)) == {}


_MOUNTED = """
import os, sys
from enforcer.kernel import sysfs
sysfs.root()
fake = sys.argv[1]
assert os.system(f"mount --bind {fake} /sys/devices/virtual/mem/zero") == 0
print(sysfs.device_name(False, 1, 5))
"""


def test_what_is_mounted_within_sysfs_says_nothing(tmp_path: Path) -> None:
    """A target with its supervisor's mount namespace may mount what it likes there."""
    (tmp_path / "uevent").write_text("DEVNAME=null\n")
    command = ["unshare", "-Urm", sys.executable, "-c", _MOUNTED, str(tmp_path)]
    done = process.run(command)
    if "unshare failed" in done.stderr or "mount" in done.stderr:
        pytest.skip("no mounts of one's own here")
    assert done.stdout == "None\n", done.describe()

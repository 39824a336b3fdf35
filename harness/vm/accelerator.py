"""Hardware virtualisation, used only where a guest has really run with it on this machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from harness.vm.cache import cache_root, digest, locked
from harness.vm.images import Kernel
from harness.vm.machines import Machine
from harness.vm.qemu import Hardware, LostVM, version
from harness.vm.snapshot import Base, boots

DEVICE = Path("/dev/kvm")
PROBE_S = 8.0  # an emulated machine boots in five: one that needs longer is of no use


def accelerator(machine: Machine, kernel: Kernel, root: Path) -> str:
    """`kvm` or `tcg`. The probe's answer is kept until the next reboot or QEMU.

    A device that is there proves nothing: under a hypervisor without nested virtualisation guests
    hang or die, so one is booted.
    """
    if platform.machine() not in machine.machines or not os.access(DEVICE, os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    key = digest(boot, kernel.name, repr(version(machine.qemu)), "kvm")
    with locked("accelerator"):
        answer = cache_root() / f"accelerator-{key}"
        if not answer.exists():
            base = Base(
                machine=machine, kernel=kernel, root=root, hardware=Hardware(accelerator="kvm")
            )
            try:
                boots(base, PROBE_S)
                answer.write_text("kvm", encoding="ascii")
            except LostVM:
                answer.write_text("tcg", encoding="ascii")
        return answer.read_text(encoding="ascii")

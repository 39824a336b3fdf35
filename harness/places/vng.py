"""A virtme-ng guest as a place: a developer's own kernel on the live root file system.

Every case boots one. The agent in it is this machine's, read through the shared root.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from enforcer.arch import arch, native
from enforcer.arch.record import Abi
from harness import process
from harness.places.layout import Layout, coverable_root
from harness.places.local import Answer, PlaceError, answer_of
from harness.vm.archive import ArchiveError
from harness.vm.cache import cache_root, made_once
from harness.vm.images import PACKED, Kernel, find_kernel
from harness.vm.machines import MachineError, machine

BOOT_S = 300.0
EMULATION_FACTOR = 8.0  # files come through 9p, which is slower than a disk
AGENT = "harness.places.agent"


@dataclass(frozen=True, kw_only=True)
class VngPlace:
    """One boot of a kernel a case. `options` are virtme-ng's."""

    arch: str
    kernel: str
    options: tuple[str, ...]
    python: str
    patience: float = EMULATION_FACTOR

    @property
    def name(self) -> str:
        return f"vng:{self.arch}"

    @property
    def abis(self) -> tuple[Abi, ...]:
        return arch(self.arch).abis

    def layout(self) -> Layout:
        return Layout(root=coverable_root() or Path("/srv"))

    def command_line(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """What runs `words` in a guest."""
        return (*self.options, "--", *words)

    def environment(self) -> dict[str, str]:
        """virtme-ng's own programs stand beside this Python."""
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        """Boot, carry out, power off. Raises PlaceError with the end of what was said."""
        where = ":".join(entry for entry in sys.path if entry)
        words = ("env", f"PYTHONPATH={where}", "PYTHONDONTWRITEBYTECODE=1", self.python)
        try:
            done = process.run(
                self.command_line((*words, "-m", AGENT)),
                stdin=json.dumps(request) + "\n",
                timeout_s=BOOT_S + timeout_s,
                env=self.environment(),
            )
        except process.ProcessTimeout as error:
            raise PlaceError(f"virtme-ng's guest hangs: {error}") from error
        answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not answers:
            raise PlaceError(f"virtme-ng's guest gave no answer: {done.describe()}")
        return answer_of(json.loads(answers[-1]))

    def close(self) -> None:
        return None


def _installed(kernel: Kernel) -> Path:
    """The image where virtme-ng finds its modules: below one directory, as if installed there."""
    packed = kernel.image.with_name(PACKED)
    if kernel.modules is None or not packed.exists():
        return kernel.image

    def make(into: Path) -> None:
        (into / "boot").mkdir()
        (into / "boot" / f"vmlinuz-{kernel.release}").hardlink_to(packed)
        (into / "lib/modules").mkdir(parents=True)
        (into / "lib/modules" / kernel.release).symlink_to(kernel.modules or "")

    top = made_once(cache_root() / "vng" / f"{kernel.name}-{packed.stat().st_mtime_ns}", make)
    return top / "boot" / f"vmlinuz-{kernel.release}"


def vng_place(
    name: str,
    kernel: str | None,
    *,
    append: str,
    root: str | None,
    say: Callable[[str], None],
) -> VngPlace:
    """The place for a kernel; `root` is a foreign architecture's root file system, with a Python.

    Raises PlaceError with the mend.
    """
    program = Path(sys.executable).parent / "vng"
    found = str(program) if program.exists() else shutil.which("vng")
    if found is None:
        raise PlaceError("virtme-ng is not installed: pip install 'interposition-lab[vm]'")
    if shutil.which("udevadm") is None and root is None:
        raise PlaceError("virtme-ng's guests need udev: run as root: apt-get install udev")
    foreign = name != native().name
    if foreign and root is None:
        raise PlaceError(f"a {name} guest needs a root file system: --root DIR")
    kind = machine(name)
    try:
        image = find_kernel(kind, kernel or kind.default_kernel, say)
    except (ArchiveError, MachineError) as error:
        raise PlaceError(str(error)) from error
    options = [found, "--disable-kvm", "--force-9p", "--cpus", "2", "--memory", "1G"]
    options += ["-r", str(_installed(image))]
    if append:
        options += ["--append", append]
    if foreign:
        options += ["--arch", kind.debian, "--root", str(root)]
    return VngPlace(
        arch=name,
        kernel=kernel or kind.default_kernel,
        options=tuple(options),
        python="/usr/bin/python3" if foreign else sys.executable,
    )

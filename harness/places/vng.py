"""A virtme-ng guest as a place: a developer's own kernel on the live root file system.

Every case boots one. The agent in it is this machine's, read through the shared root; a foreign
root file system gets it, with the case's program, in a directory of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from enforcer.arch import arch, native
from enforcer.arch.record import Abi
from harness import process
from harness.installing import by_pip
from harness.places.layout import Layout, coverable_root
from harness.places.local import Answer, PlaceError, answer_of, numbered, this_machine
from harness.places.vm import library
from harness.stages import HERE, Stage
from harness.vm.accelerator import accelerator
from harness.vm.archive import FILTERED, ArchiveError
from harness.vm.cache import CacheFull, cache_root, digest, made_once
from harness.vm.capacity import crowding
from harness.vm.images import Kernel, fetch_kernel, find_kernel
from harness.vm.machines import Machine, MachineError, machine
from harness.vm.qemu import LostVM, NoQemu, known_bad
from harness.vm.roots import fetch_root, fetch_tree

BOOT_S = 300.0
MEMORY_MIB = 1024
EMULATION_FACTOR = 8.0  # files come through 9p, which is slower than a disk
AGENT = "harness.places.agent"
SHARED = Path("/run/lab")
# What udev would load for QEMU's q35 machine, slowly, and no case needs.
UNUSED = (
    "aesni_intel,ahci,button,cdrom,cfg80211,crc32_pclmul,crct10dif_pclmul,evdev,floppy,"
    "ghash_clmulni_intel,i2c_i801,i6300esb,iTCO_wdt,intel_rapl_msr,joydev,lpc_ich,parport,"
    "parport_pc,pcspkr,ppdev,psmouse,rapl,serio_raw,sg,sha1_ssse3,sha256_ssse3,sha512_ssse3,sr_mod"
)


@dataclass(frozen=True, kw_only=True)
class VngPlace:
    """One boot of a kernel a case. `options` are virtme-ng's; `foreign`: with another root;
    `built_ns` is when the kernel's image was written, as a developer builds it again in place.
    """

    arch: str
    kernel: str
    options: tuple[str, ...]
    foreign: bool
    built_ns: int
    factor: float = EMULATION_FACTOR

    @property
    def name(self) -> str:
        return f"vng:{self.arch}"

    @property
    def abis(self) -> tuple[Abi, ...]:
        return arch(self.arch).abis

    @property
    def machine(self) -> str:
        """The kernel and the options of its boots, and this machine's digest."""
        return digest(self.kernel, str(self.built_ns), *self.options, this_machine())

    @property
    def patience(self) -> float:
        """Other work slows the guest, too."""
        return self.factor * crowding()

    def layout(self) -> Layout:
        return Layout(root=Path("/srv") if self.foreign else coverable_root() or Path("/srv"))

    def execute(
        self, words: tuple[str, ...], *, stdin: str = "", timeout_s: float, shared: Path | None
    ) -> process.Completed:
        """Boot, run `words`, power off; the status is theirs, or 255 where the boot failed.

        `shared` is a directory that the guest sees as SHARED. Raises process.ProcessTimeout.
        """
        share = () if shared is None else (f"--rodir={SHARED}={shared}",)
        # virtme-ng's own programs stand beside this Python.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return process.run(
            process.alone((*self.options, *share, "--", *words)),
            stdin=stdin,
            timeout_s=timeout_s,
            env={**os.environ, "PATH": path},
        )

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        """Boot, carry out, power off. Raises PlaceError with the end of what was said."""
        with self._furnished(numbered(request)) as (asked, shared):
            where = str(SHARED) if shared else ":".join(entry for entry in sys.path if entry)
            python = "/usr/bin/python3" if shared else sys.executable
            words = ("env", f"PYTHONPATH={where}", "PYTHONDONTWRITEBYTECODE=1", python, "-m", AGENT)
            try:
                HERE.tell(Stage.BOOTING)
                done = self.execute(
                    words,
                    stdin=json.dumps(asked) + "\n",
                    timeout_s=BOOT_S * crowding() + timeout_s,
                    shared=shared,
                )
            except process.ProcessTimeout as error:
                raise PlaceError(f"virtme-ng's guest hangs: {error}") from error
            finally:
                HERE.tell(Stage.DONE)
        answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not answers or done.status:
            raise PlaceError(f"virtme-ng's guest gave no answer: {done.describe()}")
        return answer_of(answers[-1].encode(), asked)

    @contextlib.contextmanager
    def _furnished(
        self, request: Mapping[str, object]
    ) -> Iterator[tuple[Mapping[str, object], Path | None]]:
        """The request as the guest gets it, and the directory that holds what it lacks."""
        if not self.foreign:
            yield request, None
            return
        with tempfile.TemporaryDirectory(prefix="lab-vng-") as name:
            shared = Path(name)
            with tarfile.open(fileobj=io.BytesIO(library())) as content:
                content.extractall(shared, **FILTERED)
            program = request["program"]
            if program is None:
                yield request, shared
                return
            shutil.copy(str(program), shared / "program")
            yield {**request, "program": str(SHARED / "program")}, shared

    def close(self) -> None:
        return None


def _shares_files(modules: Path) -> bool:
    """Whether the kernel can mount a root that it gets from the host."""
    listed = [modules / name for name in ("modules.dep", "modules.builtin")]
    return any("/9p.ko" in path.read_text() for path in listed if path.exists())


def _installed(kernel: Kernel) -> Path:
    """The image where virtme-ng finds its modules: below one directory, as if installed there."""
    if kernel.modules is None or kernel.image.name == f"vmlinuz-{kernel.release}":
        return kernel.image

    def make(into: Path) -> None:
        (into / "boot").mkdir()
        (into / "boot" / f"vmlinuz-{kernel.release}").hardlink_to(kernel.image)
        (into / "lib/modules").mkdir(parents=True)
        (into / "lib/modules" / kernel.release).symlink_to(kernel.modules or "")

    name = f"{kernel.name}-{kernel.image.stat().st_mtime_ns}"
    top = made_once(cache_root() / "vng" / name, make)
    return top / "boot" / f"vmlinuz-{kernel.release}"


def _accelerator(kind: Machine, say: Callable[[str], None]) -> str:
    """Asked of Debian's kernel, because a developer's own may lack what the probe needs."""
    if kind.arch != native().name:
        return "tcg"
    return accelerator(kind, fetch_kernel(kind, kind.default_kernel, say), fetch_root(kind, say))


def vng_place(
    name: str,
    kernel: str | None,
    *,
    append: str = "",
    root: str | None = None,
    cpus: int = 2,
    say: Callable[[str], None],
) -> VngPlace:
    """The place for a kernel. `root` is the guest's root file system, with a Python; without one
    it is this machine's, for a foreign architecture one that is made of Debian's packages.

    Raises PlaceError with the fix.
    """
    program = Path(sys.executable).parent / "vng"
    found = str(program) if program.exists() else shutil.which("vng")
    if found is None:
        raise PlaceError(f"virtme-ng is not installed: {by_pip('virtme-ng')}")
    foreign = name != native().name
    if not foreign and root is None and shutil.which("udevadm") is None:
        raise PlaceError("virtme-ng's guests need udev: run as root: apt-get install udev")
    kind = machine(name)
    version = kernel or kind.default_kernel
    try:
        bad = known_bad(kind, version)
        if bad is not None:
            raise PlaceError(f"{name} with kernel {version}: {bad}")
        image = find_kernel(kind, version, say)
        if image.modules is not None and not _shares_files(image.modules):
            raise PlaceError(
                f"{name} with kernel {version}: it has no 9p, through which virtme-ng's guests get "
                "their root: name another image or build tree with --kernel"
            )
        hardware = _accelerator(kind, say)
        if foreign and root is None:
            root = str(fetch_tree(kind, say))
    except (ArchiveError, CacheFull, MachineError, NoQemu, LostVM) as error:
        raise PlaceError(str(error)) from error
    options = [found, "--verbose", "--force-9p", "--cpus", str(cpus), "--memory", f"{MEMORY_MIB}M"]
    options += ["-r", str(_installed(image))]
    words = f"loglevel=3 modprobe.blacklist={UNUSED} {kind.append} {append}"
    options += ["--append", words.strip()]
    if hardware == "tcg":
        options.append("--disable-kvm")
    if foreign:
        options += ["--arch", kind.debian]
    if root is not None:
        options += ["--root", str(Path(root).expanduser().resolve())]
    return VngPlace(
        arch=name,
        kernel=version,
        options=tuple(options),
        foreign=root is not None,
        built_ns=image.image.stat().st_mtime_ns,
        factor=EMULATION_FACTOR if hardware == "tcg" else 1.0,
    )

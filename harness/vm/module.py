"""Kernel modules of ours, built for a guest's kernel with Debian's headers for it, and kept."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from harness.vm.archive import ArchiveError, run_tool, unpack
from harness.vm.cache import cache_root, digest, locked, made_once, need_room
from harness.vm.images import Kernel, Say, archive
from harness.vm.machines import Machine, MachineError

SOURCES = Path(__file__).parent / "guest"
HEADERS_MIB = 512  # packages, and what is in them
BUILD_S = 600.0


def built(name: str, machine: Machine, kernel: Kernel, version: str, say: Say) -> bytes:
    """The module `name` for a kernel of Debian's, as finit_module(2) takes it.

    Raises MachineError where it cannot be built here, ArchiveError, CacheFull.
    """
    if os.uname().machine not in machine.machines:
        raise MachineError(f"a module for {machine.arch} cannot be built on {os.uname().machine}")
    if version not in machine.kernels:
        raise MachineError(f"there are no headers of Debian's for the kernel {version}")
    source = (SOURCES / f"{name}.c").read_bytes()
    path = cache_root() / "modules" / f"{name}-{kernel.name}-{digest(source)}"

    def make(into: Path) -> None:
        headers = _headers(machine, kernel, version, say)
        say(f"building the module {name} for {kernel.release}")
        (into / f"{name}.c").write_bytes(source)
        (into / "Makefile").write_text(f"obj-m := {name}.o\n", encoding="ascii")
        # The package has Debian's name of its compiler, with a version that may be another.
        compiler = [f"CC={shutil.which('gcc') or 'cc'}", "HOSTCC=cc"]
        run_tool(["make", "-C", str(headers), f"M={into}", *compiler, "modules"], timeout_s=BUILD_S)
        if not (into / f"{name}.ko").is_file():
            raise ArchiveError(f"make built no {name}.ko for {kernel.release}")

    return (made_once(path, make) / f"{name}.ko").read_bytes()


def _headers(machine: Machine, kernel: Kernel, version: str, say: Say) -> Path:
    """The unpacked headers of a kernel, whose makefiles name each other where they are."""
    release = kernel.release
    package = f"linux-headers-{release}"
    path = cache_root() / "headers" / f"{machine.debian}-{release}"

    def make(into: Path) -> None:
        need_room(into, HEADERS_MIB)
        say(f"fetching Debian's headers for {release}")
        source = archive(machine, machine.kernels[version])
        with locked(source.root.name):
            source.update()
            packages = source.closure((package,), r"linux-(headers|kbuild)-.*")
            if not packages:
                raise ArchiveError(f"{package} is not in {source.suite}")
            files = source.download(packages, into / "packages")
        for each in files:
            unpack(each, into)
        shutil.rmtree(into / "packages")
        for link in (into / "usr/lib").glob("linux-kbuild-*"):
            # Headers name their tools by a link below /usr/src or by this whole name.
            (into / "usr/src").mkdir(exist_ok=True)
            here = into / "usr/src" / link.name
            if not here.exists():
                here.symlink_to(f"../lib/{link.name}")
        for makefile in (into / "usr/src").glob("linux-headers-*/Makefile"):
            text = makefile.read_text(encoding="utf-8")
            makefile.write_text(re.sub(r"/usr/(src|lib)/", rf"{path}/usr/\1/", text), "utf-8")

    return made_once(path, make) / "usr/src" / f"linux-headers-{release}"

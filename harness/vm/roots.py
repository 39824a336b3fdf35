"""Root file systems of guests, unpacked from Debian's packages without executing any of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.vm.archive import run_tool, unpack
from harness.vm.cache import cache_root, digest, locked, made_once, need_room
from harness.vm.images import FETCH_MIB, Say, archive
from harness.vm.machines import Machine

SUITE = "trixie"
PACKAGES = ("base-files", "coreutils", "dash", "libc6", "libseccomp2", "python3")
# What virtme-ng's init calls beside that.
VNG_PACKAGES = (
    *PACKAGES,
    *("bash", "busybox-static", "grep", "kmod", "mount", "sed", "udev", "util-linux"),
)
# What others' sandboxes need beside their own packages: to be read, and to be prepared.
SANDBOX_PACKAGES = (*PACKAGES, "findutils", "mawk", "mount", "python3-yaml", "util-linux")
MERGED = ("bin", "sbin", "lib", "lib64", "lib32", "libx32")
MOUNT_POINTS = ("dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
GROUP = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"


def fetch_root(machine: Machine, say: Say, further: Sequence[str] = ()) -> Path:
    """An erofs image with a small Debian and Python for this machine, made if not cached yet; with
    `further` packages where others' sandboxes are judged there.

    Raises ArchiveError, CacheFull.
    """
    packages = (*SANDBOX_PACKAGES, *further) if further else PACKAGES

    def make(into: Path) -> None:
        tree = _unpacked(machine, packages, into, say)
        run_tool(["mkfs.erofs", "--quiet", "--all-root", str(into / "root.erofs"), str(tree)])
        shutil.rmtree(tree)

    return made_once(_place(machine, packages), make) / "root.erofs"


def fetch_tree(machine: Machine, say: Say) -> Path:
    """A directory with the same and what virtme-ng's guests need, made if not cached yet.

    Raises ArchiveError, CacheFull.
    """

    def make(into: Path) -> None:
        tree = _unpacked(machine, VNG_PACKAGES, into, say)
        (tree / "usr/sbin/poweroff").symlink_to("../bin/busybox")
        for name in ("fstab", "hosts", "shadow"):
            (tree / "etc" / name).touch()

    return made_once(_place(machine, VNG_PACKAGES), make) / "tree"


def _place(machine: Machine, packages: tuple[str, ...]) -> Path:
    key = digest(SUITE, *packages, *MOUNT_POINTS, PASSWD, GROUP)
    return cache_root() / "roots" / f"{machine.debian}-{key}"


def _unpacked(machine: Machine, wanted: tuple[str, ...], into: Path, say: Say) -> Path:
    """`into`/tree with the packages and all that they depend on."""
    need_room(into, FETCH_MIB)
    say(f"building a root file system for {machine.arch} from Debian {SUITE}")
    source = archive(machine, SUITE)
    with locked(source.root.name):
        source.update()
        there = source.known(wanted)
        for name in wanted:
            if name not in there:
                say(f"Debian {SUITE} has no package {name} for {machine.debian}: it is left out")
        packages = source.closure(there, r".*")
        files = source.download(packages, into / "packages")
    tree = into / "tree"
    for name in MERGED:
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    for package in files:
        unpack(package, tree)
    shutil.rmtree(into / "packages")
    for name in MOUNT_POINTS:
        (tree / name).mkdir(exist_ok=True, parents=True)
    for name, text in (("passwd", PASSWD), ("group", GROUP)):
        (tree / "etc" / name).write_text(text)
        (tree / "etc" / name).chmod(0o644)
    # Whoever makes it may have a closed umask; the guest's ids are others.
    for directory, _, _ in os.walk(tree):
        Path(directory).chmod(0o755)
    return tree

"""Kernels and initial root file systems, made of Debian's packages."""

from __future__ import annotations

import gzip
import lzma
import platform
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import build
from harness.vm import cpio
from harness.vm.archive import Archive, ArchiveError, run_tool, unpack
from harness.vm.cache import cache_root, digest, hold, locked, made_once, need_room
from harness.vm.machines import Machine, MachineError

MODULES = (
    "crc32c_generic",  # erofs asks the crypto layer for it by name
    "virtio_pci",
    "virtio_mmio",
    "virtio_console",
    "virtio_blk",
    "virtio_rng",
    "erofs",
    "overlay",
    "af_packet",
)
IMAGES = ("boot/vmlinu[xz]-*", "usr/lib/modules/*/vmlinu[xz]", "lib/modules/*/vmlinu[xz]")
BUILT = (
    "arch/x86/boot/bzImage",
    "arch/arm64/boot/Image",
    "arch/arm/boot/zImage",
    "arch/riscv/boot/Image",
    "arch/s390/boot/bzImage",
    "vmlinux",
)
FETCH_MIB = 768  # of the largest: packages, and what is in them
PACKED = "vmlinuz"  # the image as Debian has it, beside the one that boots faster
KERNEL_PACKAGES = r"linux-(image|binary|modules|base)-?[0-9].*"
AGENT = Path(__file__).parent / "guest" / "agent.c"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel to boot: `name` is unique, `image` is what QEMU loads, `modules` may be None."""

    name: str
    release: str
    image: Path
    modules: Path | None


def archive(machine: Machine, suite: str) -> Archive:
    root = cache_root() / "apt" / f"{machine.debian}-{suite}"
    hold(root)
    return Archive(root=root, suite=suite, debian=machine.debian)


def fetch_kernel(machine: Machine, version: str, say: Say) -> Kernel:
    """Debian's kernel `version` ("6.1") for this machine, downloaded if it is not cached yet.

    Raises MachineError (no such kernel), ArchiveError, CacheFull.
    """
    if version not in machine.kernels:
        known = ", ".join(machine.kernels)
        raise MachineError(f"no kernel {version!r} for {machine.arch}; there are {known}")
    path = cache_root() / "kernels" / f"{machine.arch}-{version}"

    def make(into: Path) -> None:
        need_room(into, FETCH_MIB)
        say(f"fetching Debian's kernel {version} for {machine.arch}")
        source = archive(machine, machine.kernels[version])
        with locked(source.root.name):
            source.update()
            packages = source.closure((machine.kernel_package,), KERNEL_PACKAGES)
            if not packages:
                raise ArchiveError(f"{machine.kernel_package} is not in {source.suite}")
            files = source.download(packages, into / "packages")
        for package in files:
            unpack(package, into / "tree")
        image = next((found for place in IMAGES for found in (into / "tree").glob(place)), None)
        modules = _modules_root(into / "tree")
        if image is None or modules is None:
            raise ArchiveError(f"no kernel image or modules in {', '.join(packages)}")
        if not (into / "tree/lib").exists():
            (into / "tree/lib").symlink_to("usr/lib")
        run_tool(["depmod", "-b", str(into / "tree"), modules.name])
        (into / "release").write_text(modules.name)
        target = into / "image"
        content = image.read_bytes()
        target.write_bytes((machine.uncompressed and uncompressed(content)) or content)
        (into / PACKED).write_bytes(content)
        modules.rename(into / "modules")
        (into / "tree").rename(into / "rest")
        shutil.rmtree(into / "rest")
        shutil.rmtree(into / "packages")

    made_once(path, make)
    release = (path / "release").read_text()
    return Kernel(
        name=f"{machine.arch}-{release}",
        release=release,
        image=path / "image",
        modules=path / "modules",
    )


def find_kernel(machine: Machine, name: str, say: Say) -> Kernel:
    """Debian's kernel of a version, this machine's (`host`), an image or a kernel's build tree.

    Raises MachineError, ArchiveError.
    """
    if name == "host":
        name = f"/boot/vmlinuz-{platform.release()}"
    if "/" not in name:
        return fetch_kernel(machine, name, say)
    path = Path(name).expanduser().resolve()
    if path.is_dir():
        found = [path / place for place in BUILT if (path / place).is_file()]
        if not found:
            raise MachineError(f"no kernel in {path}: build it (`make`), or name its image")
        path = found[0]
    if not path.is_file():
        raise MachineError(f"{path} is not there; a kernel is a version, an image or a build tree")
    release = path.name.removeprefix("vmlinuz-")
    places = (path.parent.parent / "lib/modules" / release, Path("/lib/modules") / release)
    return Kernel(
        name=f"{machine.arch}-{release}-{digest(path.read_bytes())}",
        release=release,
        image=path,
        modules=next((place for place in places if (place / "modules.dep").exists()), None),
    )


def _modules_root(tree: Path) -> Path | None:
    for base in (tree / "usr/lib/modules", tree / "lib/modules"):
        found = sorted(base.glob("*"))
        if found:
            return found[0]
    return None


def uncompressed(image: bytes) -> bytes:
    """The vmlinux inside an x86 bzImage, or empty bytes when its compression is not known here.

    The payload's offset and length stand at 0x248 of the boot header (Documentation/arch/x86/boot).
    Its last four bytes are the length of what is in it (size_append in scripts/Makefile.lib), which
    zstd would take for the beginning of another frame.
    """
    if image[0x202:0x206] == b"" or image[0x1FE:0x200] != b"\x55\xaa":
        return b""
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[(image[0x1F1] + 1) * 512 + offset :][:length]
    try:
        if payload.startswith(b"\xfd7zXZ\0"):
            return lzma.decompress(payload[:-4])
        if payload.startswith(b"\x1f\x8b"):
            return gzip.decompress(payload[:-4])
        if payload.startswith(b"\x28\xb5\x2f\xfd"):
            return _unzstd(payload[:-4])
    except (lzma.LZMAError, OSError):
        return b""
    return b""


def _unzstd(payload: bytes) -> bytes:
    """Decompressed by the zstd program where it stands; empty bytes where not."""
    tool = shutil.which("zstd")
    if tool is None:
        return b""
    with_path = cache_root() / f"zstd-{digest(payload)}"
    with_path.with_suffix(".zst").write_bytes(payload)
    try:
        run_tool([tool, "-q", "-d", "-f", str(with_path.with_suffix(".zst")), "-o", str(with_path)])
        return with_path.read_bytes()
    except ArchiveError:
        return b""
    finally:
        with_path.unlink(missing_ok=True)
        with_path.with_suffix(".zst").unlink(missing_ok=True)


def module_order(modules: Path, wanted: tuple[str, ...]) -> list[Path]:
    """Files of the wanted modules after those that they need, by modules.dep."""
    by_name: dict[str, tuple[str, list[str]]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        by_name[Path(path).name.split(".")[0].replace("-", "_")] = (path, needs.split())
    order: list[Path] = []

    def add(path: str) -> None:
        file = modules / path
        if file in order:
            return
        _, needs = by_name[Path(path).name.split(".")[0].replace("-", "_")]
        for need in needs:
            add(need)
        order.append(file)

    for name in wanted:
        if name in by_name:
            add(by_name[name][0])
    return order


def initramfs(machine: Machine, kernel: Kernel) -> Path:
    """The first root file system: the agent as /init, and the modules that it loads."""
    agent = build.build_source(AGENT, machine.abis[0], include=AGENT.parent)
    content = agent.read_bytes()
    path = cache_root() / "initramfs" / f"{kernel.name}-{digest(content)}"

    def make(into: Path) -> None:
        entries = [
            *map(cpio.directory, ("dev", "proc", "modules")),
            cpio.Entry(name="dev/console", mode=0o020600, device=(5, 1)),
            cpio.file("init", content, executable=True),
        ]
        order = []
        for module in module_order(kernel.modules, MODULES) if kernel.modules else ():
            name = f"modules/{module.name.split('.')[0]}.ko"
            data = module.read_bytes()
            entries.append(
                cpio.file(name, lzma.decompress(data) if module.suffix == ".xz" else data)
            )
            order.append(f"/{name}\n")
        entries.append(cpio.file("modules/order", "".join(order).encode()))
        (into / "initramfs.cpio").write_bytes(cpio.archive(entries))

    return made_once(path, make) / "initramfs.cpio"

"""What images are made of."""

from __future__ import annotations

import lzma
import shutil
import struct
from pathlib import Path

import pytest

from harness import process
from harness.vm import cpio
from harness.vm.cache import cache_root
from harness.vm.images import find_kernel, module_order, uncompressed
from harness.vm.machines import MACHINES, MachineError


def test_an_archive_is_read_by_cpio(tmp_path: Path) -> None:
    """Names, modes and contents come back through the system's own cpio."""
    if shutil.which("cpio") is None:
        pytest.skip("cpio is not installed")
    content = bytes(range(256)) * 5 + b"odd"
    path = tmp_path / "archive"
    path.write_bytes(
        cpio.archive(
            [
                cpio.directory("d"),
                cpio.file("d/data", content),
                cpio.file("run", b"", executable=True),
            ]
        )
    )
    done = process.run(["sh", "-c", f"cpio -id --quiet < {path}"], cwd=tmp_path)
    assert done.status == 0, done.describe()
    assert (tmp_path / "d/data").read_bytes() == content
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755


def test_an_archive_is_aligned_and_ended() -> None:
    """Every part of the newc form starts at a multiple of four, the trailer is last."""
    data = cpio.archive([cpio.file("abc", b"12345")])
    assert len(data) % 4 == 0
    assert data.startswith(b"070701")
    assert b"TRAILER!!!\0" in data[-16:]


def test_modules_come_after_those_that_they_need(tmp_path: Path) -> None:
    """modules.dep names only what is needed at once; the order is complete, each module once."""
    (tmp_path / "modules.dep").write_text(
        "fs/over-lay.ko.xz: lib/a.ko\nlib/a.ko: lib/b.ko\nlib/b.ko:\nfs/erofs.ko: lib/b.ko\n"
    )
    order = module_order(tmp_path, ("over_lay", "erofs", "absent"))
    names = [path.name for path in order]
    assert names == ["b.ko", "a.ko", "over-lay.ko.xz", "erofs.ko"]


def _bzimage(payload: bytes) -> bytes:
    setup_sectors, offset = 3, 64
    image = bytearray((setup_sectors + 1) * 512 + offset)
    image[0x1F1] = setup_sectors
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x202:0x206] = struct.pack("<I", 0x53726448)
    struct.pack_into("<II", image, 0x248, offset, len(payload))
    return bytes(image) + payload


def test_a_kernel_is_taken_out_of_its_bzimage() -> None:
    """The payload, without the size that the kernel's build appends."""
    vmlinux = b"\x7fELF" + bytes(5000)
    packed = lzma.compress(vmlinux) + struct.pack("<I", len(vmlinux))
    assert uncompressed(_bzimage(packed)) == vmlinux


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd")
def test_zstd_is_taken_out_of_a_bzimage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the size, too, which zstd would take for another frame."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_root().mkdir(parents=True, exist_ok=True)
    vmlinux = tmp_path / "vmlinux"
    vmlinux.write_bytes(b"\x7fELF" + bytes(5000))
    done = process.run(["zstd", "-q", vmlinux])
    assert done.status == 0
    packed = vmlinux.with_suffix(".zst").read_bytes() + struct.pack("<I", 5004)
    assert uncompressed(_bzimage(packed)) == vmlinux.read_bytes()


@pytest.mark.parametrize("image", [bytes(2048), _bzimage(b"unknown compression")])
def test_what_cannot_be_taken_out_is_left(image: bytes) -> None:
    """Empty bytes: the image is booted as it is."""
    assert uncompressed(image) == b""


def test_a_build_tree_without_a_kernel_says_so(tmp_path: Path) -> None:
    """The fix names `make`."""
    with pytest.raises(MachineError, match="make"):
        find_kernel(MACHINES["x86_64"], str(tmp_path), print)


def test_an_unknown_kernel_lists_those_that_there_are() -> None:
    """Without any network."""
    with pytest.raises(MachineError, match=r"6\.1"):
        find_kernel(MACHINES["arm"], "2.4", print)


def test_a_kernel_by_its_image(tmp_path: Path) -> None:
    """In a build tree it is found where the architecture's build puts it."""
    image = tmp_path / "arch/x86/boot/bzImage"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"kernel")
    assert find_kernel(MACHINES["x86_64"], str(tmp_path), print).image == image
    assert find_kernel(MACHINES["x86_64"], str(image), print).modules is None

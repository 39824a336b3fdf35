"""What guests have as their root file system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import process
from harness.vm.machines import MACHINES
from harness.vm.roots import PACKAGES, SANDBOX_PACKAGES, VNG_PACKAGES, fetch_root, fetch_tree

MACHINE = MACHINES["arm"]


@dataclass
class OnePackage:
    """An archive whose only package has a shell in a directory that Debian has merged."""

    root: Path
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def update(self) -> None:
        return None

    def known(self, packages: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in packages if name != "unknown")

    def closure(self, packages: Sequence[str], pattern: str) -> tuple[str, ...]:
        self.asked.append(tuple(packages))
        return ("shell=1",)

    def download(self, packages: Sequence[str], into: Path) -> list[Path]:
        assert packages == ("shell=1",)
        tree = into / "shell"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN").chmod(0o755)
        (tree / "bin").mkdir()
        (tree / "bin/sh").write_text("a shell")
        control = "Package: shell\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n"
        (tree / "DEBIAN/control").write_text(control)
        package = into / "shell.deb"
        done = process.run(["dpkg-deb", "--build", str(tree), str(package)])
        assert done.status == 0, done.describe()
        return [package]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnePackage:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = OnePackage(tmp_path / "archive")
    monkeypatch.setattr("harness.vm.roots.archive", lambda machine, suite: found)
    return found


def _say(text: str) -> None:
    assert MACHINE.arch in text


def test_a_tree_for_virtme_ng(source: OnePackage) -> None:
    """Merged directories, places for its mounts, and a way to switch the guest off; made once.

    A closed umask closes none of it.
    """
    before = os.umask(0o077)
    try:
        tree = fetch_tree(MACHINE, _say)
    finally:
        os.umask(before)
    for directory in (tree, tree / "usr/bin", tree / "proc"):
        assert directory.stat().st_mode & 0o777 == 0o755
    for file in (tree / "usr/bin/sh", tree / "etc/passwd"):
        assert file.stat().st_mode & 0o777 == 0o644
    assert (tree / "usr/bin/sh").read_text() == "a shell"
    assert (tree / "bin").is_symlink()
    assert (tree / "sbin/poweroff").readlink() == Path("../bin/busybox")
    assert (tree / "etc/passwd").read_text().startswith("root:x:0:0:")
    assert all((tree / name).is_dir() for name in ("dev", "proc", "run", "srv", "sys", "tmp"))
    assert fetch_tree(MACHINE, _say) == tree
    assert source.asked == [VNG_PACKAGES]


def test_an_image_for_snapshots(source: OnePackage) -> None:
    """One file, and nothing beside it that would be taken for it."""
    if shutil.which("mkfs.erofs") is None:
        pytest.skip("mkfs.erofs is not installed")
    image = fetch_root(MACHINE, _say)
    assert [path.name for path in image.parent.iterdir()] == ["root.erofs"]
    with image.open("rb") as stream:
        stream.seek(1024)
        assert stream.read(4) == bytes.fromhex("e2e1f5e0")  # EROFS_SUPER_MAGIC_V1, little-endian
    assert source.asked == [PACKAGES]


def test_a_sandbox_s_packages_have_an_image_of_their_own(source: OnePackage) -> None:
    """With what reads and prepares it; a package that the suite lacks is said and left out."""
    if shutil.which("mkfs.erofs") is None:
        pytest.skip("mkfs.erofs is not installed")
    said: list[str] = []
    image = fetch_root(MACHINE, said.append, ("sandbox", "unknown"))
    assert image != fetch_root(MACHINE, said.append)
    assert source.asked[0] == (*SANDBOX_PACKAGES, "sandbox")
    assert any("no package unknown" in line for line in said)

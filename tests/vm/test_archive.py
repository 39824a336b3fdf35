"""Debian's archive: what cannot be had is said, with the fix."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.places.local import PlaceError
from harness.places.vm import vm_place
from harness.vm.archive import KEYRING, Archive, ArchiveError, run_tool
from harness.vm.cache import cache_root

NOWHERE = "file:///nowhere/debian/"


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LAB_DEBIAN_MIRROR", NOWHERE)


@pytest.mark.skipif(
    shutil.which("apt-get") is None or not KEYRING.exists(), reason="apt is not installed"
)
def test_an_archive_out_of_reach_names_the_mend(tmp_path: Path) -> None:
    """The first line has the address, apt's reason and what to do; apt's own words follow."""
    with pytest.raises(ArchiveError) as caught:
        Archive(root=tmp_path / "apt", suite="bookworm", debian="armhf").update()
    first, _, rest = str(caught.value).partition("\n")
    assert NOWHERE in first
    assert "LAB_DEBIAN_MIRROR" in first
    assert "harness vm fetch" in first
    assert "apt-get" in rest


@pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("qemu-system-arm") is None,
    reason="apt or QEMU is not installed",
)
def test_nothing_half_fetched_is_left() -> None:
    """The place cannot be had; the cache holds no kernel, whole or half."""
    with pytest.raises(PlaceError):
        vm_place("arm")
    assert list((cache_root() / "kernels").iterdir()) == []


def test_a_missing_tool_names_the_fix() -> None:
    """Not a traceback."""
    with pytest.raises(ArchiveError, match="harness vm install"):
        run_tool(["a-tool-that-is-not-there"])

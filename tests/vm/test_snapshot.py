"""Snapshots on disk: what is not as it was saved is never used."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.build import BuildError
from harness.places.local import PlaceError
from harness.places.vm import vm_place
from harness.vm.cache import CacheFull, need_room
from harness.vm.qemu import Hardware, LostVM
from harness.vm.snapshot import SUM, Base, content_sum, discard_damaged, save

MEMORY_BYTES = 8 << 20


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A snapshot as `save` leaves it: a short state, a memory file with holes, their sum."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    directory = tmp_path / "snapshots" / "arm"
    directory.mkdir(parents=True)
    (directory / "state").write_bytes(bytes(range(256)) * 100)
    with (directory / "memory").open("wb") as stream:
        stream.truncate(MEMORY_BYTES)
        for at in (5000, 3 << 20, MEMORY_BYTES - 10):
            os.pwrite(stream.fileno(), b"content", at)
    (directory / SUM).write_text(content_sum(directory))
    return directory


def _flip(path: Path, at: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(at)
        (found,) = stream.read(1)
        stream.seek(at)
        stream.write(bytes([found ^ 0x10]))


def test_a_whole_snapshot_stays(saved: Path) -> None:
    """Also when the holes of its memory have been filled with zeros by a copy."""
    (saved / "memory").write_bytes((saved / "memory").read_bytes())
    assert not discard_damaged(saved)
    assert saved.exists()


@pytest.mark.parametrize(
    ("name", "at"),
    [
        pytest.param("state", 0, id="state"),
        pytest.param("memory", 5001, id="data"),
        pytest.param("memory", 6 << 20, id="hole"),
        pytest.param("memory", MEMORY_BYTES - 1, id="end"),
    ],
)
def test_a_flipped_bit_is_noticed(saved: Path, name: str, at: int) -> None:
    """Wherever it is; the snapshot goes, so that it is made again."""
    _flip(saved / name, at)
    assert discard_damaged(saved)
    assert not saved.exists()


@pytest.mark.parametrize("name", ["state", "memory", SUM])
def test_a_file_cut_short_or_gone_is_noticed(saved: Path, name: str) -> None:
    """As a full disk or a crash of the machine leave it."""
    os.truncate(saved / name, (saved / name).stat().st_size - 1)
    assert discard_damaged(saved)
    assert not discard_damaged(saved)


def test_a_lost_file_is_damage(saved: Path) -> None:
    """Not an error of ours."""
    (saved / "memory").unlink()
    assert discard_damaged(saved)


def test_a_full_disk_names_the_mend(saved: Path) -> None:
    """Before anything is booted."""
    need_room(saved, 0)
    with pytest.raises(CacheFull, match=r"harness vm prune.*XDG_CACHE_HOME"):
        need_room(saved, 1 << 40)


def test_a_disk_that_fills_while_a_machine_boots_is_said(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU is killed by its memory file then; that is not the guest's fault, nor tried again."""
    boots: list[Path] = []

    def die(base: Base, prepare: object, into: Path) -> None:
        boots.append(into)
        free = SimpleNamespace(f_bavail=0, f_frsize=4096)
        monkeypatch.setattr("harness.vm.cache.os.statvfs", lambda path: free)
        raise LostVM("ended with -7")

    base = cast("Base", SimpleNamespace(key="full", hardware=Hardware()))
    monkeypatch.setattr("harness.vm.snapshot._boot_and_save", die)
    with pytest.raises(CacheFull, match="0 MiB free"):
        save(base, lambda guest: None)
    assert len(boots) == 1


def test_an_error_of_the_disk_is_the_places(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback: broken, with the cache's directory and the fix."""

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.places.vm.known_bad", lambda *arguments: None)
    monkeypatch.setattr("harness.places.vm.find_kernel", full)
    with pytest.raises(PlaceError, match=r"No space left.*harness vm prune"):
        vm_place("arm")


def test_a_guests_agent_that_is_not_built_is_the_places_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Broken, with the compiler's words, and no traceback."""

    def fail(*arguments: object) -> None:
        raise BuildError("no compiler here")

    monkeypatch.setattr("harness.places.vm.known_bad", lambda *arguments: None)
    monkeypatch.setattr("harness.places.vm.find_kernel", fail)
    with pytest.raises(PlaceError, match="no compiler here"):
        vm_place("arm")

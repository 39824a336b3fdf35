"""Without walls, what a run left behind is gone before the next one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.model import Limits
from harness.places import isolation
from harness.places.isolation import Isolation
from harness.places.layout import Layout
from harness.places.outcome import tree_digest
from tests.harness.plain import in_child


def closed(top: Path) -> None:
    (top / "deep/er").mkdir(parents=True)
    (top / "deep/er/file").touch()
    (top / "deep/er").chmod(0)
    (top / "deep").chmod(0)
    top.chmod(0)


def very_deep(top: Path) -> None:
    """Beyond what a path may be long, and what Python may recur."""
    start = os.open(".", os.O_PATH)
    os.chdir(top)
    for _ in range(1500):
        Path("deeper").mkdir()
        os.chdir("deeper")
    os.fchdir(start)
    os.close(start)


def in_the_way(top: Path) -> None:
    """Names that removing may itself make use of."""
    for number in range(3):
        (top / f"\1{number}" / "\1").mkdir(parents=True)


def replaced_by_a_file(top: Path) -> None:
    top.rmdir()
    top.touch()


def replaced_by_a_link(top: Path) -> None:
    top.rmdir()
    top.symlink_to(elsewhere(top))


def with_links(top: Path) -> None:
    (top / "link").symlink_to(elsewhere(top))
    (top / "file").symlink_to(elsewhere(top) / "inside/file")


def elsewhere(top: Path) -> Path:
    return top.parent.parent / "elsewhere"


@pytest.mark.parametrize(
    "act", [closed, very_deep, in_the_way, replaced_by_a_file, replaced_by_a_link, with_links]
)
def test_without_walls_what_a_run_left_is_removed(
    act: Callable[[Path], None], tmp_path: Path
) -> None:
    """However it is closed, nested or named; nothing besides, and nothing that links name."""
    layout = Layout(root=tmp_path / "root")
    (layout.root / "other").mkdir(parents=True)
    for directory in layout.directories():
        directory.mkdir()
    (tmp_path / "elsewhere/inside").mkdir(parents=True)
    (tmp_path / "elsewhere/inside/file").touch()
    before = tree_digest(tmp_path / "elsewhere", without=tmp_path)
    act(layout.directory)
    layout.root.chmod(0o500)

    def body() -> bool:
        isolation.become(Isolation.PLAIN, isolation.identity(Isolation.PLAIN))
        isolation.furnish(Isolation.PLAIN, layout, Limits(), cover_tmp=False)
        return True

    assert in_child(body)
    assert [path.name for path in layout.root.iterdir()] == ["other"]
    assert tree_digest(tmp_path / "elsewhere", without=tmp_path) == before
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755


def test_without_walls_a_lost_root_is_made_again(tmp_path: Path) -> None:
    """A link in its place is not followed."""
    layout = Layout(root=tmp_path / "root")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "open").mkdir(parents=True)
    layout.root.symlink_to(elsewhere)

    def body() -> bool:
        isolation.furnish(Isolation.PLAIN, layout, Limits(), cover_tmp=False)
        return True

    assert in_child(body)
    assert layout.root.is_dir()
    assert not layout.root.is_symlink()
    assert (elsewhere / "open").is_dir()

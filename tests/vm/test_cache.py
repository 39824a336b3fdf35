"""The cache: nobody sees half of anything."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click.testing
import pytest

from harness import process
from harness.cli.vm import command
from harness.vm.cache import cache_root, digest, locked, made_once, remove_unused


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_many_makers_make_it_once(tmp_path: Path) -> None:
    """All of them get the one result."""
    made: list[Path] = []

    def make(into: Path) -> None:
        made.append(into)
        (into / "content").write_text("whole")

    target = tmp_path / "place" / "thing"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: made_once(target, make), range(4)))
    assert found == [target] * 4
    assert len(made) == 1
    assert (target / "content").read_text() == "whole"


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither the result nor the attempt."""
    target = tmp_path / "place" / "thing"

    def make(into: Path) -> None:
        (into / "half").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="space"):
        made_once(target, make)
    assert list(target.parent.iterdir()) == []


def test_a_killed_maker_is_no_obstacle(tmp_path: Path) -> None:
    """Its lock is gone with it, its leavings are removed by the next maker."""
    target = tmp_path / "place" / "thing"

    def die(into: Path) -> None:
        (into / "half").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

    def child() -> int:
        made_once(target, die)
        return 0

    assert os.WTERMSIG(process.wait(process.fork(child))) == signal.SIGKILL
    assert not target.exists()
    assert len(list(target.parent.iterdir())) == 1
    made_once(target, lambda into: (into / "content").touch())
    assert [path.name for path in target.parent.iterdir()] == ["thing"]


def test_leavings_of_others_go_unless_they_are_at_work(tmp_path: Path) -> None:
    """Half of a thing that nobody will ask for again, and half of one that is being made."""
    directory = tmp_path / "place"
    for name in (".old.abcd", ".busy.abcd"):
        (directory / name).mkdir(parents=True)
    with locked("busy"):
        made_once(directory / "thing", lambda into: None)
    assert {path.name for path in directory.iterdir()} == {"thing", ".busy.abcd"}


def test_what_a_living_process_uses_is_not_removed(tmp_path: Path) -> None:
    """Made by it or found by it; afterwards it goes."""
    target = tmp_path / "place" / "thing"
    asked, go = os.pipe(), os.pipe()

    def use() -> int:
        made_once(target, lambda into: (into / "content").touch())
        os.write(asked[1], b"x")
        os.read(go[0], 1)
        return 0

    for _ in ("maker", "finder"):
        user = process.fork(use)
        os.read(asked[0], 1)
        assert not remove_unused(target)
        assert (target / "content").exists()
        os.write(go[1], b"x")
        assert process.wait(user) == 0
    assert remove_unused(target)
    assert not target.exists()


def test_prune_says_what_it_keeps(tmp_path: Path) -> None:
    """The snapshots of a running harness stay, the others go; images only when asked for."""
    root = cache_root()
    used = made_once(root / "snapshots" / "used", lambda into: (into / "memory").touch())
    for name in ("snapshots/old", "kernels/arm-6.1"):
        (root / name).mkdir(parents=True)
    ran = click.testing.CliRunner().invoke(command, ["prune"])
    assert (ran.exit_code, ran.stdout.splitlines()[1:]) == (0, ["in use, kept: snapshots/used"])
    assert (used / "memory").exists()
    assert not (root / "snapshots/old").exists()
    assert (root / "kernels/arm-6.1").exists()
    click.testing.CliRunner().invoke(command, ["prune", "--all"])
    assert not (root / "kernels/arm-6.1").exists()


def test_a_digest_tells_where_parts_end() -> None:
    """The same bytes cut otherwise are other content."""
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", "c") == digest(b"ab", b"c")

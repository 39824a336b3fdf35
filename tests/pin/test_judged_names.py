"""What is judged is the canonical name of what is acted on, and a refusal leaves no effect."""

from __future__ import annotations

import os
from collections.abc import Iterator
from errno import EACCES
from pathlib import Path

import pytest

from enforcer.kernel.openat2 import RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS
from enforcer.pin import open_judged, perform
from enforcer.pin.places import Places
from enforcer.pin.same_objects import SameObjects
from tests.pin.target import Target, build_tree, is_outside, names, snapshot

AT_FDCWD = -100


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


def prepare() -> None:
    fd = os.open("dir/file", os.O_RDWR)
    os.dup2(fd, 0)
    os.close(fd)


@pytest.fixture
def target(tree: Path) -> Iterator[Target]:
    build_tree(tree)
    with Target(tree, prepare=prepare) as target:
        yield target


class Refuser:
    """Refuses every name below a directory and keeps what it was asked."""

    def __init__(self, denied: Path) -> None:
        self.denied = str(denied)
        self.last: tuple[str, ...] = ()

    def __call__(self, asked: tuple[str, ...], _missing: int) -> int:
        self.last = asked
        return EACCES if any(f"{name}/".startswith(f"{self.denied}/") for name in asked) else 0


FIXED = pytest.mark.parametrize("fixed_root", [True, False], ids=["fixed-root", "root-asked"])


@FIXED
def test_no_name_opens_what_is_denied(target: Target, tree: Path, fixed_root: bool) -> None:
    """Whatever the spelling, an object below the denied directory is never opened."""
    refuser = Refuser(tree / "dir")
    view = target.view(fixed_root=fixed_root)
    opened = 0
    for name in names(tree):
        fd = open_judged(view, AT_FDCWD, name, os.O_RDONLY | os.O_NONBLOCK, 0, refuser)
        if fd < 0:
            continue
        found = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 (a name, not a path)
        os.close(fd)
        opened += 1
        assert not f"{found}/".startswith(f"{tree}/dir/"), name
        assert refuser.last == (found,), name
    assert opened > 20


@FIXED
def test_no_descriptor_is_left_behind(target: Target, tree: Path, fixed_root: bool) -> None:
    """Opening, refusing and failing all close what they held."""
    view = target.view(fixed_root=fixed_root)
    before = sorted(Path("/proc/self/fd").iterdir())
    for judge in (Refuser(tree / "dir"), Refuser(tree / "missing")):
        for name in names(tree):
            for resolve in (None, 0x2, 0x4, 0x8, 0x10):
                fd = open_judged(view, AT_FDCWD, name, os.O_NONBLOCK, 0, judge, resolve=resolve)
                if fd >= 0:
                    os.close(fd)
            target.clear()
            for call in ("lstat", "rmdir") if not is_outside(name) else ("lstat",):
                args = (target.text(name), target.output, 0, 0, 0, 0)
                perform(view, "x86_64", call, args, Refuser(tree) if call == "rmdir" else judge)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@FIXED
@pytest.mark.parametrize("flags", [os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_TRUNC])
def test_no_name_changes_what_is_denied(
    target: Target, tree: Path, fixed_root: bool, flags: int
) -> None:
    """Nothing is created, truncated or touched below the denied directory."""
    refuser = Refuser(tree)
    before = snapshot(tree)
    view = target.view(fixed_root=fixed_root)
    for name in names(tree):
        if is_outside(name):
            continue
        fd = open_judged(view, AT_FDCWD, name, flags, 0o600, refuser)
        if fd >= 0:
            found = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 (a name, not a path)
            os.close(fd)
            assert not found.startswith(str(tree)), name
    assert snapshot(tree) == before


@FIXED
@pytest.mark.parametrize("call", ["unlink", "rmdir", "mkdir", "truncate", "chmod", "removexattr"])
def test_no_call_acts_on_what_is_denied(
    target: Target, tree: Path, call: str, fixed_root: bool
) -> None:
    """A refused call answers the judge's errno, or fails anyway, and changes nothing."""
    refuser = Refuser(tree)
    before = snapshot(tree)
    view = target.view(fixed_root=fixed_root)
    second = {"truncate": 1, "chmod": 0o777, "mkdir": 0o777}
    for name in names(tree):
        if is_outside(name):
            continue
        target.clear()
        other = second[call] if call in second else target.text(b"user.b")
        result = perform(view, "x86_64", call, (target.text(name), other, 0, 0, 0, 0), refuser)
        assert result < 0, name
    assert snapshot(tree) == before


@pytest.mark.parametrize(
    ("name", "canonical", "missing"),
    [
        (b"missing", "missing", 0),
        (b"to_dir/missing", "dir/missing", 0),
        (b"dangling_in_dir", "dir/new", 0),
        (b"missing/x", "missing/x", 1),
        (b"to_missing_dir", "missing/x", 1),
        (b"to_dir/gone/../x", "dir/x", 1),
        (b"to_dir/gone/../../x", "x", 1),
        (b"file/x", "file/x", 1),
    ],
)
def test_a_name_of_nothing_is_judged_where_it_would_be(
    target: Target, tree: Path, name: bytes, canonical: str, missing: int
) -> None:
    """The name of what does not exist is its directory's canonical name and the rest."""
    asked: list[tuple[tuple[str, ...], int]] = []

    def judge(found: tuple[str, ...], gone: int) -> int:
        asked.append((found, gone))
        return EACCES

    view = target.view()
    view.tells_missing = True
    assert open_judged(view, AT_FDCWD, name, os.O_RDONLY, 0, judge) == -EACCES
    assert asked[-1] == ((f"{tree}/{canonical}",), missing)


def test_both_names_of_a_rename_are_judged(target: Target, tree: Path) -> None:
    """The judge sees source and destination, each canonical."""
    asked: list[tuple[str, ...]] = []

    def judge(found: tuple[str, ...], _missing: int) -> int:
        asked.append(found)
        return EACCES

    args = (target.text(b"to_dir/file"), target.text(b"empty/../other//new"), 0, 0, 0, 0)
    assert perform(target.view(), "x86_64", "rename", args, judge) == -EACCES
    assert asked == [(f"{tree}/dir/file", f"{tree}/other/new")]


def test_a_hard_link_is_judged_as_the_denied_file(target: Target, tree: Path) -> None:
    """Another name of a file that a rule denies by equality is refused, for opens and acts."""
    denied = f"{tree}/file"

    def judge(found: tuple[str, ...], _missing: int) -> int:
        return EACCES if denied in found else 0

    view = target.view()
    assert open_judged(view, AT_FDCWD, b"hard", os.O_RDONLY, 0, judge) >= 0
    view.same_objects = SameObjects([denied], Places())
    before = snapshot(tree)
    for name in (b"hard", os.fsencode(tree) + b"/hard", b"dir/../hard"):
        assert open_judged(view, AT_FDCWD, name, os.O_RDWR | os.O_TRUNC, 0, judge) == -EACCES
        flags = os.O_RDWR | os.O_CREAT
        assert open_judged(view, AT_FDCWD, name, flags, 0o600, judge) == -EACCES
        args = (target.text(name), 0, 0, 0, 0, 0)
        assert perform(view, "x86_64", "truncate", args, judge) == -EACCES
    for scope in (RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT):
        flags = os.O_RDWR | os.O_TRUNC
        assert open_judged(view, AT_FDCWD, b"hard", flags, 0, judge, resolve=scope) == -EACCES
    assert snapshot(tree) == before
    fd = open_judged(view, AT_FDCWD, b"dir/new", os.O_RDWR | os.O_CREAT, 0o600, judge)
    assert fd >= 0
    os.close(fd)

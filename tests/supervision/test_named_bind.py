"""A socket bound for a task comes to be in the judged directory, or nowhere."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from errno import EACCES, EADDRINUSE, EBADF, EINVAL, ENOTSOCK
from pathlib import Path

import pytest

from enforcer.kernel.landlock import version
from enforcer.pin import resolve
from enforcer.supervision.named_bind import bind_path
from enforcer.supervision.socket_order import path_refusal
from tests.pin.target import Target, build_tree

AT_FDCWD = -100


def has_landlock() -> bool:
    try:
        return version() > 0
    except OSError:
        return False


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def target(tree: Path) -> Iterator[Target]:
    build_tree(tree)
    with Target(tree, umask=0o027) as target:
        yield target


def bound(
    target: Target, name: str, *, fixed_root: bool, tree: Path | None = None
) -> tuple[int, str]:
    """What bind gives, and the name that the socket then has; `tree`: exchange `dir` before."""
    view = target.view(fixed_root=fixed_root)
    address = b"\1\0" + name.encode() + b"\0"
    with (
        socket.socket(socket.AF_UNIX) as own,
        resolve(view, AT_FDCWD, name.encode(), follow=False, entry=True) as pinned,
    ):
        if tree is not None:
            (tree / "dir").rename(tree / "aside")
            (tree / "dir").symlink_to("other")
        result = bind_path(view, own.fileno(), pinned, address)
        return result, str(own.getsockname())


@pytest.mark.parametrize("fixed_root", [True, False])
def test_the_socket_is_where_it_was_judged_to_be(
    target: Target, tree: Path, fixed_root: bool
) -> None:
    """With the task's umask, and in a second try it is in use."""
    result, name = bound(target, "dir/own", fixed_root=fixed_root)
    assert result == 0
    facts = (tree / "dir/own").lstat()
    assert (stat.S_ISSOCK(facts.st_mode), stat.S_IMODE(facts.st_mode)) == (True, 0o750)
    again, _ = bound(target, "dir/own", fixed_root=fixed_root)
    assert again == -EADDRINUSE
    if fixed_root and has_landlock():
        assert name == "dir/own"


@pytest.mark.parametrize("fixed_root", [True, False])
def test_another_directory_gets_no_socket(target: Target, tree: Path, fixed_root: bool) -> None:
    """Whose name leads elsewhere by now is refused, or bound in the pinned directory."""
    result, _ = bound(target, "dir/own", fixed_root=fixed_root, tree=tree)
    assert not (tree / "other/own").exists()
    assert result == (-EACCES if fixed_root and has_landlock() else 0)
    assert (tree / "aside/own").is_socket() is (result == 0)


@pytest.mark.skipif(not has_landlock(), reason="no Landlock here")
def test_a_directory_below_the_judged_one_gets_none(target: Target, tree: Path) -> None:
    """Landlock lets a socket be made beneath the judged directory: that is found out."""
    view = target.view()
    with (
        socket.socket(socket.AF_UNIX) as own,
        resolve(view, AT_FDCWD, b"dir/own", follow=False, entry=True) as pinned,
    ):
        result = bind_path(view, own.fileno(), pinned, b"\1\0dir/sub/own\0")
    assert result == -EACCES


def test_what_takes_no_path(tmp_path: Path) -> None:
    """The kernel looks at the descriptor before it walks the path, and so does who walks for it."""
    asked: list[int] = []

    def attempt(result: int) -> int:
        asked.append(result)
        return -77

    file = os.open(tmp_path, os.O_RDONLY)
    place = os.open(tmp_path, os.O_PATH)
    with (
        socket.socket(socket.AF_UNIX) as path,
        socket.socket(socket.AF_INET) as inet,
        socket.socket(socket.AF_INET6) as inet6,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink,
    ):
        assert path_refusal(path.fileno(), attempt) == 0
        assert asked == []
        assert path_refusal(inet.fileno(), attempt) == 77
        assert path_refusal(inet6.fileno(), attempt) == 77
        assert path_refusal(inet.fileno(), lambda _: 0) == EINVAL
        assert asked == [inet.fileno(), inet6.fileno()]
        assert path_refusal(netlink.fileno(), attempt) == EINVAL
    assert path_refusal(file, attempt) == ENOTSOCK
    assert path_refusal(place, attempt) == EBADF
    assert path_refusal(-EBADF, attempt) == EBADF
    assert len(asked) == 2

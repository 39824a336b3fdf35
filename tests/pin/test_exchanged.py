"""Names that lead elsewhere from the judgement on: the act is still on what was judged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from errno import EACCES
from pathlib import Path

import pytest

from enforcer.kernel.openat2 import RESOLVE_BENEATH, RESOLVE_IN_ROOT
from enforcer.pin import open_judged, perform
from tests.pin.target import Target, build_tree
from tests.pin.test_differential import ONE_NAME, TWO_NAMES, arguments

AT_FDCWD = -100
HIDDEN = 777
"""The size of the files that nobody may come to, and nothing else has."""


def a_link_for_the_directory(tree: Path) -> None:
    (tree / "dir").rename(tree / "aside")
    (tree / "dir").symlink_to("secret")


def a_link_for_the_entry(tree: Path) -> None:
    for name in ("dir/file", "dir/new", "file"):
        (tree / name).unlink(missing_ok=True)
        (tree / name).symlink_to(tree / "secret/file")


def other_links(tree: Path) -> None:
    for name in ("to_dir", "to_abs_dir", "to_to_dir"):
        (tree / name).unlink()
        (tree / name).symlink_to("secret")
    for name in ("to_file", "to_abs_file", "chain", "up"):
        (tree / name).unlink()
        (tree / name).symlink_to("secret/file")


EXCHANGES: tuple[Callable[[Path], None], ...] = (
    a_link_for_the_directory,
    a_link_for_the_entry,
    other_links,
)

NAMES = (
    "dir/file", "dir/new", "dir/../dir/file", "to_dir/file", "to_dir/new", "chain", "to_file",
    "/TREE/dir/file", "/TREE/to_dir/file",
)  # fmt: skip

FLAGS = (os.O_RDONLY, os.O_RDWR | os.O_TRUNC, os.O_RDWR | os.O_CREAT, os.O_PATH)

RESOLVES = {"plain": None, "openat2": 0, "beneath": RESOLVE_BENEATH, "in-root": RESOLVE_IN_ROOT}


class Exchanging:
    """Permits all but the secret directory, and exchanges at its first question, or the second."""

    def __init__(self, tree: Path, exchange: Callable[[Path], None], at: int) -> None:
        self.tree = tree
        self.exchange = exchange
        self.left = at
        self.identity = (tree / "secret").stat().st_ino

    def __call__(self, names: tuple[str, ...], _missing: int) -> int:
        secret = f"{self.tree}/secret"
        if any(f"{name}/".startswith(f"{secret}/") for name in names):
            return EACCES
        self.left -= 1
        if self.left == 0:
            self.exchange(self.tree)
        return 0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def target(tree: Path) -> Iterator[Target]:
    tree.mkdir()
    with Target(tree) as target:
        yield target


def planted(tree: Path) -> None:
    build_tree(tree)
    secret = tree / "secret"
    secret.mkdir()
    for name in ("file", "hard", "new"):
        (secret / name).write_bytes(b"s" * HIDDEN)
        os.setxattr(secret / name, "user.b", b"hidden")
    (secret / "sub").mkdir()
    (secret / "empty").mkdir()


def kept(directory: int) -> list[tuple[object, ...]]:
    """What can be changed of the secret directory, wherever it is now."""
    base = Path(f"/proc/self/fd/{directory}")
    found: list[tuple[object, ...]] = []
    for name in sorted(os.listdir(directory)):
        facts = (base / name).lstat()
        content = (base / name).read_bytes() if name not in ("sub", "empty") else b""
        found.append((name, facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns,
                      facts.st_nlink, content))  # fmt: skip
    return found


@pytest.mark.parametrize("fixed_root", [True, False], ids=["fixed-root", "root-asked"])
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("resolve", RESOLVES)
def test_an_open_never_comes_to_another_object(
    target: Target,
    tree: Path,
    fixed_root: bool,
    exchange: Callable[[Path], None],
    resolve: str,
) -> None:
    """Whatever is exchanged at the first question or at the second: nothing of the secret directory
    is opened, made or changed, and what is opened is what was judged last."""
    view = target.view(fixed_root=fixed_root)
    opened = 0
    for name in NAMES:
        for flags in FLAGS:
            for at in (1, 2):
                planted(tree)
                secret = os.open(tree / "secret", os.O_RDONLY)
                before = kept(secret)
                judge = Exchanging(tree, exchange, at)
                mode = 0o600 if flags & os.O_CREAT else 0
                text = os.fsencode(name.replace("/TREE", str(tree)))
                scope = RESOLVES[resolve]
                fd = open_judged(view, AT_FDCWD, text, flags, mode, judge, resolve=scope)
                if fd >= 0:
                    opened += 1
                    assert os.fstat(fd).st_size != HIDDEN, (name, flags, at)
                    assert os.fstat(fd).st_ino != judge.identity, (name, flags, at)
                    os.close(fd)
                assert kept(secret) == before, (name, flags, at)
                os.close(secret)
    assert opened > 5


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("case", ONE_NAME)
def test_a_call_never_acts_on_another_object(
    target: Target, tree: Path, exchange: Callable[[Path], None], case: str
) -> None:
    """Nothing is seen and nothing is changed of what took the place of the judged object."""
    call, shape = ONE_NAME[case]
    view = target.view()
    for name in ("dir/file", "dir/new", "to_dir/file", "to_abs_file"):
        planted(tree)
        secret = os.open(tree / "secret", os.O_RDONLY)
        before = kept(secret)
        target.clear()
        args = arguments(target, shape, os.fsencode(name), b"")
        perform(view, "x86_64", call, args, Exchanging(tree, exchange, 1))
        written = target.written()[:4096]
        assert HIDDEN.to_bytes(8, "little") not in written, name
        assert b"hidden" not in written, name
        assert kept(secret) == before, name
        os.close(secret)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("case", TWO_NAMES)
def test_a_call_on_two_names_never_acts_on_others(
    target: Target, tree: Path, exchange: Callable[[Path], None], case: str
) -> None:
    """Neither from nor to what took the place of a judged directory."""
    call, shape = TWO_NAMES[case]
    view = target.view()
    for name, other in (
        ("dir/file", "other/new"),
        ("other/file", "dir/new"),
        ("file", "dir/sub/new"),
        ("to_dir/file", "empty/new"),
        ("dir/sub", "empty/new"),
        ("to_file", "to_dir/new"),
    ):
        planted(tree)
        secret = os.open(tree / "secret", os.O_RDONLY)
        before = kept(secret)
        target.clear()
        args = arguments(target, shape, os.fsencode(name), os.fsencode(other))
        perform(view, "x86_64", call, args, Exchanging(tree, exchange, 1))
        assert kept(secret) == before, (name, other)
        os.close(secret)
        for made in (tree / "other/new", tree / "empty/new"):
            if made.is_file() and not made.is_symlink():
                assert made.lstat().st_size != HIDDEN, (name, other)

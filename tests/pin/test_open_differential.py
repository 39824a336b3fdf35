"""What is opened for a task is what the task would have opened itself."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from enforcer.kernel.openat2 import RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_XDEV
from enforcer.pin import View, open_judged
from tests.pin.target import Target, build_tree, describe, is_outside, names, snapshot

AT_FDCWD = -100

FLAGS: dict[str, int] = {
    "read": os.O_RDONLY | os.O_NONBLOCK,
    "write": os.O_WRONLY | os.O_NONBLOCK,
    "append": os.O_RDWR | os.O_APPEND,
    "truncate": os.O_RDWR | os.O_TRUNC,
    "directory": os.O_RDONLY | os.O_DIRECTORY,
    "path": os.O_PATH,
    "path-nofollow": os.O_PATH | os.O_NOFOLLOW,
    "path-with-more": os.O_PATH | os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "nofollow": os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW,
    "create": os.O_RDWR | os.O_CREAT,
    "create-read": os.O_RDONLY | os.O_CREAT | os.O_NONBLOCK,
    "create-truncate": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    "create-new": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "create-nofollow": os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW,
    "create-directory": os.O_RDONLY | os.O_CREAT | os.O_DIRECTORY,
    "tmpfile": os.O_RDWR | os.O_TMPFILE,
    "tmpfile-read": os.O_RDONLY | os.O_TMPFILE,
    "unknown-bits": os.O_RDONLY | os.O_NONBLOCK | 0x4000_0000,
    "exclusive-only": os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK,
}
SCOPES: dict[str, int] = {
    "beneath": RESOLVE_BENEATH,
    "in-root": RESOLVE_IN_ROOT,
    "no-xdev": RESOLVE_NO_XDEV,
    "no-magiclinks": 2,
    "no-symlinks": 4,
    "unknown": 0x100,
}
_AGAIN = os.strerror(errno.EAGAIN)
_MOST_TRIES = 1000
"""Scoped walks over `..` are to be tried again when anything was renamed meanwhile."""

_CHANGES = os.O_CREAT | os.O_TRUNC | os.O_TMPFILE & ~os.O_DIRECTORY


def permit(_names: tuple[str, ...], _missing: int) -> int:
    return 0


def prepare() -> None:
    fd = os.open("../input", os.O_RDWR | os.O_CREAT)
    os.dup2(fd, 0)
    os.close(fd)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def target(tree: Path) -> Iterator[Target]:
    tree.mkdir()
    with Target(tree, prepare=prepare) as target:
        yield target


def described(fd: int) -> str:
    if fd < 0:
        return os.strerror(-fd)
    try:
        return describe(fd)
    finally:
        os.close(fd)


def opening(
    target: Target, view: View, name: bytes, flags: int, resolve: int | None, *, is_real: bool
) -> str:
    """What comes of an open by the task itself (`is_real`) or for it."""
    target.clear()
    mode = 0o666 if resolve is None or flags & _CHANGES else 0
    if not is_real:
        return described(open_judged(view, AT_FDCWD, name, flags, mode, permit, resolve=resolve))
    if resolve is None:
        fd = target.call("openat", (AT_FDCWD, target.text(name), flags, mode))
    else:
        how = target.put(struct.pack("=QQQ", flags, mode, resolve))
        fd = target.call("openat2", (AT_FDCWD, target.text(name), how, 24))
    return target.opened() if fd >= 0 else os.strerror(-fd)


def differences(
    target: Target, tree: Path, flags: int, resolve: int | None, fixed_root: bool
) -> list[str]:
    view = target.view(fixed_root=fixed_root)
    build_tree(tree)
    pristine = snapshot(tree)
    found = []
    for name in names(tree) if fixed_root else names(tree)[::3]:
        if is_outside(name) and flags & _CHANGES and not flags & os.O_PATH:
            continue
        outcomes = []
        for is_real in (True, False):
            for _ in range(_MOST_TRIES):
                outcome = opening(target, view, name, flags, resolve, is_real=is_real)
                if outcome != _AGAIN:
                    break
            seen = snapshot(tree) if flags & _CHANGES else pristine
            if seen != pristine:
                build_tree(tree)
            outcomes.append((outcome, seen))
        if outcomes[0] != outcomes[1]:
            found.append(f"{name[:70]!r}: kernel {outcomes[0][0]}, performed {outcomes[1][0]}")
    return found


@pytest.mark.parametrize("fixed_root", [True, False], ids=["fixed-root", "root-asked"])
@pytest.mark.parametrize("case", FLAGS)
def test_open(case: str, target: Target, tree: Path, fixed_root: bool) -> None:
    """Object, flags, errno and effect are the kernel's for every name."""
    assert differences(target, tree, FLAGS[case], None, fixed_root) == []


@pytest.mark.parametrize("fixed_root", [True, False], ids=["fixed-root", "root-asked"])
@pytest.mark.parametrize("case", SCOPES)
def test_openat2(case: str, target: Target, tree: Path, fixed_root: bool) -> None:
    """So they are for openat2 with the scope of its own."""
    flags = os.O_RDONLY | os.O_NONBLOCK
    assert differences(target, tree, flags, SCOPES[case], fixed_root) == []

"""What is performed for a task is what the kernel would have done for it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enforcer.pin import perform
from tests.pin.target import Target, build_tree, is_outside, names, snapshot

Shape = tuple[object, ...]
Do = Callable[[str, list[int]], int]

AT_FDCWD = -100
NAME = "name"
OTHER = "other"
OUT = "out"


@pytest.fixture(params=[True, False], ids=["fixed-root", "root-asked"])
def fixed_root(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


def permit(_names: tuple[str, ...], _missing: int) -> int:
    return 0


TIMES = struct.pack("=4q", 5, 6, 7, 8)

ONE_NAME: dict[str, tuple[str, tuple[object, ...]]] = {
    "stat": ("stat", (NAME, OUT)),
    "lstat": ("lstat", (NAME, OUT)),
    "newfstatat": ("newfstatat", (AT_FDCWD, NAME, OUT, 0)),
    "newfstatat-nofollow": ("newfstatat", (AT_FDCWD, NAME, OUT, 0x100)),
    "newfstatat-empty": ("newfstatat", (AT_FDCWD, NAME, OUT, 0x1000)),
    "newfstatat-bad": ("newfstatat", (AT_FDCWD, NAME, OUT, 0x8000)),
    "statx": ("statx", (AT_FDCWD, NAME, 0, 0x7FF, OUT)),
    "statx-nofollow": ("statx", (AT_FDCWD, NAME, 0x100, 0x7FF, OUT)),
    "access": ("access", (NAME, 4)),
    "access-exec": ("access", (NAME, 1)),
    "access-bad": ("access", (NAME, 8)),
    "faccessat2": ("faccessat2", (AT_FDCWD, NAME, 4, 0x100)),
    "readlink": ("readlink", (NAME, OUT, 4096)),
    "readlink-short": ("readlink", (NAME, OUT, 3)),
    "readlink-none": ("readlink", (NAME, OUT, 0)),
    "readlinkat": ("readlinkat", (AT_FDCWD, NAME, OUT, 4096)),
    "statfs": ("statfs", (NAME, OUT)),
    "mkdir": ("mkdir", (NAME, 0o777)),
    "mkdirat": ("mkdirat", (AT_FDCWD, NAME, 0o1700)),
    "mknod-file": ("mknod", (NAME, 0o100666, 0)),
    "mknod-fifo": ("mknodat", (AT_FDCWD, NAME, 0o010666, 0)),
    "mknod-bad": ("mknod", (NAME, 0o040666, 0)),
    "rmdir": ("rmdir", (NAME,)),
    "unlink": ("unlink", (NAME,)),
    "unlinkat": ("unlinkat", (AT_FDCWD, NAME, 0x200)),
    "unlinkat-bad": ("unlinkat", (AT_FDCWD, NAME, 0x4)),
    "symlink": ("symlink", (b"some/text", NAME)),
    "symlink-empty": ("symlink", (b"", NAME)),
    "chmod": ("chmod", (NAME, 0o4711)),
    "fchmodat": ("fchmodat", (AT_FDCWD, NAME, 0o710)),
    "fchmodat2": ("fchmodat2", (AT_FDCWD, NAME, 0o710, 0)),
    "fchmodat2-nofollow": ("fchmodat2", (AT_FDCWD, NAME, 0o710, 0x100)),
    "chown": ("chown", (NAME, 12, 0xFFFF_FFFF)),
    "lchown": ("lchown", (NAME, 0xFFFF_FFFF, 13)),
    "fchownat": ("fchownat", (AT_FDCWD, NAME, 3, 4, 0x100)),
    "fchownat-bad": ("fchownat", (AT_FDCWD, NAME, 3, 4, 0x8)),
    "utime": ("utime", (NAME, TIMES[:8] + TIMES[16:24])),
    "utimes": ("utimes", (NAME, TIMES)),
    "utimes-bad": ("utimes", (NAME, struct.pack("=4q", 1, 10**6, 1, 1))),
    "utimensat": ("utimensat", (AT_FDCWD, NAME, TIMES, 0x100)),
    "utimensat-now": ("utimensat", (AT_FDCWD, NAME, 0, 0)),
    "utimensat-bad": ("utimensat", (AT_FDCWD, NAME, TIMES, 0x8)),
    "truncate": ("truncate", (NAME, 3)),
    "truncate-negative": ("truncate", (NAME, (1 << 64) - 1)),
    "setxattr": ("setxattr", (NAME, b"user.a", b"value", 5, 0)),
    "lsetxattr": ("lsetxattr", (NAME, b"user.a", b"value", 5, 0)),
    "getxattr": ("getxattr", (NAME, b"user.b", OUT, 100)),
    "lgetxattr": ("lgetxattr", (NAME, b"user.b", OUT, 0)),
    "listxattr": ("listxattr", (NAME, OUT, 100)),
    "removexattr": ("removexattr", (NAME, b"user.b")),
    "removexattr-long": ("removexattr", (NAME, b"user." + b"b" * 300)),
}

TWO_NAMES: dict[str, tuple[str, tuple[object, ...]]] = {
    "rename": ("rename", (NAME, OTHER)),
    "renameat2-noreplace": ("renameat2", (AT_FDCWD, NAME, AT_FDCWD, OTHER, 1)),
    "renameat2-exchange": ("renameat2", (AT_FDCWD, NAME, AT_FDCWD, OTHER, 2)),
    "renameat2-bad": ("renameat2", (AT_FDCWD, NAME, AT_FDCWD, OTHER, 3)),
    "link": ("link", (NAME, OTHER)),
    "linkat-follow": ("linkat", (AT_FDCWD, NAME, AT_FDCWD, OTHER, 0x400)),
}
SOURCES = (
    b"file", b"hard", b"dir", b"dir/file", b"empty", b"missing", b"missing/x", b"file/x", b"fifo",
    b"to_file", b"to_dir", b"to_dir/file", b"to_abs_file", b"dangling", b"loop", b"chain", b"up",
    b"dir/", b"file/", b"to_dir/", b"dir/.", b"dir/..", b".", b"..", b"./file", b"dir//sub/deep",
    b"dir/../file", b"to_dir/../file", b"", b"x" * 256,
)  # fmt: skip
OTHERS = (
    "new", "dir/new", "file", "empty", "dir", "dangling", "to_dir/new", "missing/new", "new/", ".",
    "dir/../new", "file/new",
)  # fmt: skip


def arguments(target: Target, shape: tuple[object, ...], name: bytes, other: bytes) -> list[int]:
    values: list[int] = []
    for part in shape:
        match part:
            case int():
                values.append(part & (1 << 64) - 1)
            case bytes():
                values.append(target.text(part))
            case "name":
                values.append(target.text(name))
            case "other":
                values.append(target.text(other))
            case _:
                values.append(target.output)
    return values


def scrub(call: str, result: int, output: bytes) -> bytes:
    """The output without what two equal trees, or two looks at one, do not share."""
    if call in ("stat", "lstat", "newfstatat") and result == 0:
        fields = list(struct.unpack_from("=QQQIIIIQqqqqQqQqQ", output))
        fields[1] = 0
        fields[11:] = [0] * 6
        return repr(fields).encode()
    if call == "statx" and result == 0:
        mutable = bytearray(output[:256])
        mutable[32:40] = bytes(8)  # inode
        mutable[64:128] = bytes(64)  # times
        return bytes(mutable)
    if call == "statfs" and result == 0:
        mutable = bytearray(output[:120])
        mutable[16:56] = bytes(40)  # free space
        return bytes(mutable)
    return output[:4096].rstrip(b"\0")


def is_dangerous(call: str, name: bytes) -> bool:
    """Whether the case would change something outside the tree."""
    return call not in LOOKS and is_outside(name)


LOOKS = frozenset(
    {
        "stat",
        "lstat",
        "newfstatat",
        "statx",
        "access",
        "faccessat2",
        "readlink",
        "readlinkat",
        "statfs",
        "getxattr",
        "lgetxattr",
        "listxattr",
    }
)


Outcome = tuple[int, bytes, dict[str, tuple[object, ...]]]


class Comparison:
    """One tree that is put right again after each call that changed it."""

    def __init__(self, target: Target, tree: Path) -> None:
        self.target = target
        self.tree = tree
        build_tree(tree)
        self.pristine = snapshot(tree)

    def outcome(self, call: str, shape: Shape, name: bytes, other: bytes, do: Do) -> Outcome:
        self.target.clear()
        result = do(call, arguments(self.target, shape, name, other))
        seen = self.pristine if call in LOOKS else snapshot(self.tree)
        if seen != self.pristine:
            build_tree(self.tree)
        return result, scrub(call, result, self.target.written()), seen

    def differences(
        self, call: str, shape: Shape, cases: list[tuple[bytes, bytes]], fixed_root: bool
    ) -> list[str]:
        view = self.target.view(fixed_root=fixed_root)

        def performed(call: str, args: list[int]) -> int:
            return perform(view, "x86_64", call, args, permit)

        found = []
        for name, other in cases:
            real = self.outcome(call, shape, name, other, self.target.call)
            ours = self.outcome(call, shape, name, other, performed)
            if ours != real:
                found.append(f"{call}({name[:60]!r}, {other!r}): {_difference(real, ours)}")
        return found


def _difference(real: Outcome, ours: Outcome) -> str:
    if real[:2] != ours[:2]:
        return f"kernel {real[0]} {real[1][:80]!r}, performed {ours[0]} {ours[1][:80]!r}"
    changed = {path for path in real[2] | ours[2] if real[2].get(path) != ours[2].get(path)}
    return "; ".join(f"{path}: {real[2].get(path)} / {ours[2].get(path)}" for path in changed)


def prepare() -> None:
    """The child's standard input is a file of its own, so that /dev/stdin can be told apart."""
    fd = os.open("../input", os.O_RDWR | os.O_CREAT)
    os.dup2(fd, 0)
    os.close(fd)


@pytest.fixture
def target(tree: Path) -> Iterator[Target]:
    tree.mkdir()
    with Target(tree, prepare=prepare) as target:
        yield target


@pytest.mark.parametrize("case", ONE_NAME)
def test_a_call_with_one_name(case: str, target: Target, tree: Path, fixed_root: bool) -> None:
    """Result, output and effect are the kernel's for every name and situation."""
    call, shape = ONE_NAME[case]
    tried = names(tree) if fixed_root else names(tree)[::3]
    cases = [(name, b"") for name in tried if not is_dangerous(call, name)]
    assert Comparison(target, tree).differences(call, shape, cases, fixed_root) == []


@pytest.mark.parametrize("case", TWO_NAMES)
def test_a_call_with_two_names(case: str, target: Target, tree: Path, fixed_root: bool) -> None:
    """Result and effect are the kernel's for every pair of names."""
    call, shape = TWO_NAMES[case]
    pairs = [(name, os.fsencode(other)) for name in SOURCES for other in OTHERS]
    assert Comparison(target, tree).differences(call, shape, pairs, fixed_root) == []

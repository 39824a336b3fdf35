"""A child task whose calls are compared with those performed for it, and the tree it works on."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import re
import shutil
import signal
import stat
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from enforcer.pin import View
from enforcer.syscalls import number

ARENA = 1 << 16
OUTPUT = 1 << 15
OLD_NS = 10**18
_REPORT = struct.Struct("=q")
_REQUEST = struct.Struct("=7q")

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.argtypes = [ctypes.c_long] * 7
libc.syscall.restype = ctypes.c_long


def real_call(nr: int, args: Sequence[int]) -> int:
    """The kernel's own answer to the calling task."""
    result = int(libc.syscall(nr, *args))
    return result if result >= 0 else -ctypes.get_errno()


def describe(fd: int) -> str:
    """What `fd` of the calling process refers to: for comparing two opens."""
    link = Path(f"/proc/self/fd/{fd}")  # which a task in another root cannot see
    name = re.sub(r"#\d+", "#", str(link.readlink())) if link.is_symlink() else "?"
    flags, facts = fcntl.fcntl(fd, fcntl.F_GETFL), os.fstat(fd)
    size = facts.st_size if stat.S_ISREG(facts.st_mode) else 0
    return f"{name} flags {flags:o} mode {facts.st_mode:o} size {size}"


class Target:
    """A forked child that makes calls when told to; arguments lie in memory shared with it."""

    def __init__(self, cwd: Path, *, umask: int = 0o027, prepare: Callable[[], None] | None = None):
        self.memory = mmap.mmap(-1, ARENA)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.used = 0
        self.requests, there = os.pipe()
        self.requests, ours = there, self.requests
        back, self.answers = os.pipe()
        self.answers, theirs = back, self.answers
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                os.umask(umask)
                if prepare is not None:
                    prepare()
                self._serve(ours, theirs)
            finally:
                os._exit(0)
        os.close(ours)
        os.close(theirs)

    def _serve(self, requests: int, answers: int) -> None:
        os.write(answers, _REPORT.pack(0))
        while request := os.read(requests, _REQUEST.size):
            nr, *args = _REQUEST.unpack(request)
            result = real_call(nr, args)
            os.write(answers, _REPORT.pack(result))
            if nr in _OPENS and result >= 0:
                found = describe(result).encode()
                os.write(answers, _REPORT.pack(len(found)) + found)
                os.close(result)

    def __enter__(self) -> Target:
        os.read(self.answers, _REPORT.size)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.requests)
        os.close(self.answers)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def view(self, *, fixed_root: bool = True) -> View:
        return View(self.pid, self.pid, fixed_root=fixed_root, fixed_credentials=True)

    def put(self, data: bytes) -> int:
        """The address of `data` in the child's memory."""
        address = self.base + self.used
        self.memory[self.used : self.used + len(data)] = data
        self.used += len(data) + 8 & ~7
        assert self.used < OUTPUT
        return address

    def text(self, name: bytes) -> int:
        return self.put(name + b"\0")

    def clear(self) -> None:
        self.memory[:] = bytes(ARENA)
        self.used = 0

    @property
    def output(self) -> int:
        """The address where results are to be written."""
        return self.base + OUTPUT

    def written(self) -> bytes:
        return self.memory[OUTPUT:]

    def call(self, name: str, args: Sequence[int]) -> int:
        """The child makes the call itself."""
        nr = number("x86_64", name)
        assert nr is not None
        padded = [*args, *[0] * (6 - len(args))]
        signed = [value - (1 << 64) if value >= 1 << 63 else value for value in padded]
        os.write(self.requests, _REQUEST.pack(nr, *signed))
        result: int = _REPORT.unpack(os.read(self.answers, _REPORT.size))[0]
        return result

    def opened(self) -> str:
        """How the child describes what its last open gave."""
        size = _REPORT.unpack(os.read(self.answers, _REPORT.size))[0]
        return os.read(self.answers, size).decode()


_OPENS = frozenset(number("x86_64", name) for name in ("open", "openat", "openat2", "creat"))


def build_tree(root: Path) -> None:
    """A scratch tree with every kind of entry that a name can meet; replaces what was there."""
    root.mkdir(exist_ok=True)
    root.chmod(0o755)
    for entry in root.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for directory in ("dir/sub", "empty", "other"):
        (root / directory).mkdir(parents=True)
    for directory in ("dir", "dir/sub", "empty", "other"):
        (root / directory).chmod(0o755)
    for file, size in (("file", 100), ("dir/file", 200), ("dir/sub/deep", 5), ("other/file", 7)):
        (root / file).write_bytes(b"x" * size)
        (root / file).chmod(0o640)
        os.setxattr(root / file, "user.b", b"tree")
    os.link(root / "file", root / "hard")
    os.mkfifo(root / "fifo", 0o600)
    for name, text in {
        "to_file": "file",
        "to_dir": "dir",
        "to_abs_file": f"{root}/dir/file",
        "to_abs_dir": f"{root}/dir",
        "dangling": "nowhere",
        "dangling_in_dir": "dir/new",
        "loop": "loop",
        "chain": "to_to_dir/file",
        "to_to_dir": "to_dir/",
        "up": "dir/../file",
        "to_slash": "file/",
        "to_proc": "/proc/self/cwd/file",
        "to_stdin": "/proc/self/fd/0",
        "dir/up": "..",
        "to_missing_dir": "missing/x",
    }.items():
        (root / name).symlink_to(text)
    for path in [*root.rglob("*"), root]:
        os.utime(path, ns=(OLD_NS, OLD_NS), follow_symlinks=False)


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """What can be seen of the tree, but for what differs between two equal trees."""
    seen: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, str] = {}
    for path in sorted([root, *root.rglob("*")]):
        facts = path.lstat()
        first = inodes.setdefault(facts.st_ino, str(path))
        times = (
            facts.st_atime_ns if facts.st_atime_ns < OLD_NS else "later",  # reading changes it
            facts.st_mtime_ns if facts.st_mtime_ns <= OLD_NS else "now",
        )
        content: object = None
        if stat.S_ISLNK(facts.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(facts.st_mode) and os.access(path, os.R_OK):
            content = path.read_bytes()
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        }
        seen[str(path)] = (
            facts.st_mode, facts.st_uid, facts.st_gid, facts.st_nlink, facts.st_size,
            facts.st_rdev, first, times, content, tuple(attributes.items()),
        )  # fmt: skip
    return seen


def is_outside(name: bytes) -> bool:
    """Whether `name` may lead out of the tree."""
    bare = name.strip(b"/.")
    reaches = not bare or any(part in name for part in (b"/dev", b"/proc", b"to_stdin"))
    return reaches or name.rstrip(b"/").endswith(b"..")


def words(text: str) -> list[str]:
    """The words of a table."""
    return text.split()


def names(root: Path) -> tuple[bytes, ...]:
    """Names to try: relative to the tree, absolute, through links, through procfs, and wrong."""
    relative = words(
        "file hard dir dir/file dir/sub/deep empty missing dir/missing missing/x file/x fifo "
        "to_file to_dir to_dir/file to_dir/missing to_abs_file to_abs_dir to_abs_dir/sub/deep "
        "dangling dangling_in_dir loop loop/x chain to_to_dir to_to_dir/file up to_slash to_proc "
        "to_stdin to_missing_dir dir/up dir/up/file "
        "dir/ file/ missing/ empty/ to_dir/ to_file/ dangling/ loop/ to_stdin/ "
        "dir/. dir/.. . .. ./ ../ ./file ./dir/./file dir//file dir///sub/deep dir/../file "
        "to_dir/../file to_dir/sub/../file missing/../file file/.. file/. to_file/.. "
        "empty/.. empty/. dir/sub/../../to_dir"
    )
    absolute = [f"{root}/{name}" for name in relative] + [f"/{root}//dir/.//file"]
    special = words(
        "/ // /. /.. /dev/null /dev/stdin /dev/fd/0 /dev/fd /proc/self /proc/self/ "
        "/proc/thread-self /proc/self/exe "
        "/proc/self/cwd /proc/self/cwd/ /proc/self/cwd/file /proc/self/cwd/missing "
        "/proc/self/cwd/to_dir/file /proc/self/fd/0 /proc/self/fd/0/ /proc/self/fd/99 "
        "/proc/thread-self/cwd/dir/file /proc/self/../version /proc/self/cwd/.. "
        f"/proc/self/root{root}/file /proc/self/comm /proc/mounts /proc/self/fd/0/x"
    )
    odd = ("", "x" * 255, "x" * 256, "./" * 2000 + "file", "./" * 2046 + "file", "x" * 4095)
    return tuple(os.fsencode(name) for name in (*relative, *absolute, *special, *odd))

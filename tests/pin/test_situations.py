"""Tasks in odd situations: other roots, other users, lost directories, wild pointers."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EBADF, EFAULT, ENOENT, ENOTDIR
from pathlib import Path

import pytest

from enforcer.pin import TargetGone, View, open_judged, perform, resolve
from tests.pin.target import Target, build_tree, describe, libc, names, snapshot

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


def permit(_names: tuple[str, ...], _missing: int) -> int:
    return 0


@contextmanager
def started(tree: Path, prepare: Callable[[], None] | None = None) -> Iterator[Target]:
    build_tree(tree)
    with Target(tree, prepare=prepare) as target:
        yield target


CALLS: dict[str, tuple[object, ...]] = {
    "stat": ("name", "out"),
    "lstat": ("name", "out"),
    "access": ("name", 4),
    "readlink": ("name", "out", 100),
    "mkdir": ("name", 0o777),
    "mknod": ("name", 0o666, 0),
    "unlink": ("name",),
    "rmdir": ("name",),
    "chmod": ("name", 0o600),
    "truncate": ("name", 3),
    "utime": ("name", 0),
    "chown": ("name", 65534, 65534),
}


_LOOKS = frozenset({"stat", "lstat", "access", "readlink"})


def differences(target: Target, tree: Path, view: View, tried: list[bytes]) -> list[str]:
    """Calls of the target that differ from the same performed for it."""
    found = []
    build_tree(tree)
    pristine = snapshot(tree)
    for call, shape in CALLS.items():
        for name in tried:
            outcomes = []
            for is_real in (True, False):
                target.clear()
                where = {"name": target.text(name), "out": target.output}
                args = [where[part] if isinstance(part, str) else part for part in shape]
                registers = [int(str(value)) for value in args]
                if is_real:
                    result = target.call(call, registers)
                else:
                    result = perform(view, "x86_64", call, registers, permit)
                text = target.written()[:100] if call == "readlink" else b""
                seen = pristine if call in _LOOKS else snapshot(tree)
                if seen != pristine:
                    build_tree(tree)
                outcomes.append((result, text, seen))
            if outcomes[0] != outcomes[1]:
                found.append(f"{call} {name[:60]!r}: {outcomes[0][0]}, {outcomes[1][0]}")
    for name in tried:
        for flags in (os.O_RDONLY | os.O_NONBLOCK, os.O_RDWR | os.O_CREAT, os.O_PATH):
            target.clear()
            fd = target.call("open", (target.text(name), flags, 0o666))
            real = target.opened().split()[-1] if fd >= 0 else fd
            if flags & os.O_CREAT and snapshot(tree) != pristine:
                build_tree(tree)
            fd = open_judged(view, AT_FDCWD, name, flags, 0o666, permit)
            ours: str | int = fd
            if fd >= 0:
                ours = describe(fd).split()[-1]
                os.close(fd)
            if flags & os.O_CREAT and snapshot(tree) != pristine:
                build_tree(tree)
            if ours != real:
                found.append(f"open {flags:o} {name[:60]!r}: {real}, {ours}")
    return found


def inside(tree: Path) -> list[bytes]:
    """Names that stay in the tree, relative or absolute below a root that is the tree."""
    absolute = os.fsencode(tree)
    kept = [name for name in names(tree) if not name.startswith((b"/", b"..")) and len(name) < 300]
    kept = [name for name in kept if not any(odd in name for odd in (b"proc", b"stdin", b"abs"))]
    assert all(absolute not in name for name in kept)
    return kept


@needs_root
def test_a_task_with_another_root(tree: Path) -> None:
    """In a chroot every absolute name, link and `..` means what it means to the task."""

    def enter() -> None:
        os.chroot(".")

    with started(tree, enter) as target:
        relative = inside(tree)
        rooted = [b"/" + name for name in relative[::2] if name]
        tried = [*relative[1::2], *rooted, b"/../../file", b"/../dir/file", b"to_dir/../../file"]
        tried = [name for name in tried if name.strip(b"/.")]
        assert differences(target, tree, target.view(fixed_root=False), tried) == []


@needs_root
def test_names_are_judged_as_the_task_sees_them(tree: Path) -> None:
    """Below another root the judged name starts at that root."""
    asked: list[str] = []

    def judge(found: tuple[str, ...], _missing: int) -> int:
        asked.append(found[0])
        return 0

    def enter() -> None:
        Path("rooted").symlink_to("/dir")
        os.chroot(".")

    with started(tree, enter) as target:
        view = target.view(fixed_root=False)
        for name in (b"/dir/file", b"dir/file", b"/rooted/file", b"/../dir/../dir/file"):
            fd = open_judged(view, AT_FDCWD, name, os.O_RDONLY, 0, judge)
            assert fd >= 0, name
            os.close(fd)
            assert asked[-1] == "/dir/file", name


@needs_root
@pytest.mark.parametrize("ids", [(65534, 65534), (0, 65534)], ids=["dropped", "effective-only"])
def test_a_task_of_another_user(tree: Path, ids: tuple[int, int]) -> None:
    """What the task's own user may not do is refused as the kernel refuses it to the task."""
    real, effective = ids

    def drop() -> None:
        os.setgroups([])
        os.setresgid(real, effective, effective)
        os.setresuid(real, effective, effective)

    for directory in (tree.parent, tree.parent.parent, tree.parent.parent.parent):
        directory.chmod(0o755)
    build_tree(tree)
    (tree / "other").chmod(0o777)
    with Target(tree, prepare=drop) as target:
        view = View(target.pid, target.pid, fixed_root=True)
        assert differences(target, tree, view, inside(tree)) == []
        target.clear()
        (tree / "other").chmod(0o777)
        new = tree / "other/new"
        args = (target.text(b"other/new"), 0o777, 0, 0, 0, 0)
        assert perform(view, "x86_64", "mkdir", args, permit) == 0
        facts = new.stat()
        assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (65534, 65534, 0o750)


def test_a_name_relative_to_a_descriptor(tree: Path) -> None:
    """The task's own descriptors are used: directories, files, none."""
    descriptors: dict[str, int] = {"dir": 50, "file": 51}

    def hold() -> None:
        for name, fd in descriptors.items():
            os.dup2(os.open(name, os.O_RDONLY), fd)

    with started(tree, hold) as target:
        view = target.view()
        text = target.text(b"file")
        assert perform(view, "x86_64", "faccessat", (50, text, 4, 0, 0, 0), permit) == 0
        assert perform(view, "x86_64", "faccessat", (51, text, 4, 0, 0, 0), permit) == -ENOTDIR
        assert perform(view, "x86_64", "faccessat", (99, text, 4, 0, 0, 0), permit) == -EBADF
        absolute = target.text(os.fsencode(tree / "file"))
        assert perform(view, "x86_64", "faccessat", (99, absolute, 4, 0, 0, 0), permit) == 0
        with resolve(view, 50, b"sub/../file") as pinned:
            assert pinned.name == f"{tree}/dir/file"
        fd = open_judged(view, 50, b"file", os.O_RDONLY, 0, permit)
        assert describe(fd).startswith(f"{tree}/dir/file ")
        os.close(fd)


def test_an_empty_name_is_the_descriptor_itself(tree: Path) -> None:
    """AT_EMPTY_PATH works for files, pipes and O_PATH descriptors, and is judged by their names."""
    asked: list[str] = []

    def judge(found: tuple[str, ...], _missing: int) -> int:
        asked.append(found[0])
        return 0

    def hold() -> None:
        os.dup2(os.open("file", os.O_RDONLY), 50)
        os.dup2(os.pipe()[0], 51)
        os.dup2(os.open("to_file", os.O_PATH | os.O_NOFOLLOW), 52)

    with started(tree, hold) as target:
        view = target.view()
        empty = target.text(b"")
        for fd, name, kind in (
            (50, f"{tree}/file", stat.S_IFREG),
            (51, "pipe:[", stat.S_IFIFO),
            (52, f"{tree}/to_file", stat.S_IFLNK),
            (AT_FDCWD, str(tree), stat.S_IFDIR),
        ):
            args = (fd & (1 << 64) - 1, empty, target.output, AT_EMPTY_PATH, 0, 0)
            assert perform(view, "x86_64", "newfstatat", args, judge) == 0
            assert stat.S_IFMT(struct.unpack_from("=I", target.written(), 24)[0]) == kind
            assert asked[-1].startswith(name)
        args = (50, empty, target.output, 0, 0, 0)
        assert perform(view, "x86_64", "newfstatat", args, judge) == -ENOENT
        args = (52, empty, target.output, 100, 0, 0)
        assert perform(view, "x86_64", "readlinkat", args, judge) == 4


def test_a_working_directory_that_was_deleted(tree: Path) -> None:
    """Names in a deleted directory fail as they do for the task; `..` still leads out of it."""

    def lose() -> None:
        os.chdir("empty")
        Path("../empty").rmdir()

    with started(tree, lose) as target:
        view = target.view()
        for name, flags in ((b"x", os.O_CREAT | os.O_RDWR), (b"x", os.O_RDONLY), (b".", os.O_PATH)):
            real = target.call("open", (target.text(name), flags, 0o600))
            if real >= 0:
                target.opened()
            ours = open_judged(view, AT_FDCWD, name, flags, 0o600, permit)
            assert (ours >= 0) == (real >= 0), name
            assert ours >= 0 or ours == real, name


def test_wild_pointers_are_refused(tree: Path) -> None:
    """A name or a result that cannot be reached is EFAULT, and the judge is not asked."""
    asked: list[tuple[str, ...]] = []

    def judge(found: tuple[str, ...], _missing: int) -> int:
        asked.append(found)
        return 0

    with started(tree) as target:
        view = target.view()
        wild = (0, 8, (1 << 64) - 8, 1 << 47)
        for address in wild:
            args = (address, target.output, 0, 0, 0, 0)
            assert perform(view, "x86_64", "stat", args, judge) == -EFAULT
            args = (target.text(b"file"), address, 0, 0, 0, 0)
            assert perform(view, "x86_64", "stat", args, permit) == -EFAULT
        assert asked == []


def test_a_task_that_has_ended(tree: Path) -> None:
    """Nothing is answered for a task that is gone."""
    with started(tree) as target:
        view = target.view()
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        gone = View(child, child, fixed_root=True, fixed_credentials=True)
        with pytest.raises(TargetGone):
            open_judged(gone, AT_FDCWD, b"file", os.O_RDONLY, 0, permit)
        assert open_judged(view, AT_FDCWD, b"missing", os.O_RDONLY, 0, permit) == -ENOENT


def test_a_call_that_is_no_longer_held(tree: Path) -> None:
    """What validate raises reaches the caller before anything is judged or done."""
    asked: list[tuple[str, ...]] = []

    def judge(found: tuple[str, ...], _missing: int) -> int:
        asked.append(found)
        return 0

    def refuse() -> None:
        raise TargetGone("not held")

    with started(tree) as target:
        view = target.view()
        view.validate = refuse
        with pytest.raises(TargetGone):
            open_judged(view, AT_FDCWD, b"new", os.O_RDWR | os.O_CREAT, 0o600, judge)
        assert asked == []
        assert not (tree / "new").exists()


def test_a_thread_has_its_own_self(tree: Path) -> None:
    """`self` is the process and `thread-self` the thread that calls."""
    ready, end = threading.Event(), threading.Event()
    ids: list[int] = []

    def wait() -> None:
        ids.append(threading.get_native_id())
        ready.set()
        end.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        ready.wait()
        pid, tid = os.getpid(), ids[0]
        view = View(tid, pid, fixed_root=True, fixed_credentials=True)
        with resolve(view, AT_FDCWD, b"/proc/self/status") as pinned:
            assert pinned.name == f"/proc/{pid}/status"
        with resolve(view, AT_FDCWD, b"/proc/thread-self/status") as pinned:
            assert pinned.name == f"/proc/{pid}/task/{tid}/status"
    finally:
        end.set()
        thread.join()


def test_a_watch_is_added_to_the_tasks_own_descriptor(tree: Path) -> None:
    """inotify_add_watch acts on a duplicate: events arrive at the task's descriptor."""
    build_tree(tree)
    fd = libc.syscall(294, os.O_NONBLOCK, 0, 0, 0, 0, 0)
    assert fd >= 0
    view = View(os.getpid(), os.getpid(), fixed_root=True, fixed_credentials=True)
    text = ctypes.create_string_buffer(os.fsencode(tree / "to_dir"))
    args = (fd, ctypes.addressof(text), 0x100, 0, 0, 0)
    assert perform(view, "x86_64", "inotify_add_watch", args, permit) == 1
    (tree / "dir/new").touch()
    assert b"new\0" in os.read(fd, 4096)
    os.close(fd)


def test_a_fifo_without_a_peer_can_be_interrupted(tree: Path) -> None:
    """An open that blocks ends with EINTR when its thread gets a handled signal."""
    build_tree(tree)
    view = View(os.getpid(), os.getpid(), fixed_root=True, fixed_credentials=True)
    results: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.siginterrupt(signal.SIGUSR1, True)

    def block() -> None:
        name = os.fsencode(tree / "fifo")
        results.append(open_judged(view, AT_FDCWD, name, os.O_RDONLY, 0, permit))

    try:
        thread = threading.Thread(target=block)
        thread.start()
        while thread.is_alive():
            assert thread.ident is not None
            signal.pthread_kill(thread.ident, signal.SIGUSR1)
            thread.join(0.01)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert results == [-4]

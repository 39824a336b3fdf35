"""What resolving rests on: views, identities, umasks, sameness, and structs of 32 bits."""

from __future__ import annotations

import ctypes
import fcntl
import os
import stat
import struct
import threading
from collections.abc import Iterator
from errno import EACCES, EBADF, EEXIST, EISDIR, ELOOP, ENOENT, EOVERFLOW
from pathlib import Path
from typing import cast

import pytest

from enforcer.arch import ABIS
from enforcer.kernel import namespaces
from enforcer.kernel.file_status import Status, status
from enforcer.kernel.openat2 import RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_XDEV
from enforcer.kernel.paths import AT_EMPTY_PATH
from enforcer.pin import TargetGone, View, open_judged, perform, resolve
from enforcer.pin.caller import take_umask
from enforcer.pin.identity import OutOfReach, act_as
from enforcer.pin.layouts import pack_stat
from enforcer.pin.opening import Judge
from enforcer.pin.places import Places
from enforcer.pin.same_objects import SameObjects
from enforcer.pin.view import is_same, names_in, own_identity, release, strip_root
from tests.pin.target import Target, build_tree, libc

AT_FDCWD = -100
NOFOLLOW = os.O_NOFOLLOW
SCOPES = (RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_XDEV)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    build_tree(tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def target(tree: Path) -> Iterator[Target]:
    with Target(tree) as target:
        yield target


def permit(_names: tuple[str, ...], _missing: int) -> int:
    return 0


def opened(path: Path) -> int:
    return os.open(path, os.O_PATH | NOFOLLOW)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("fixed_root", [True, False])
def test_a_scope_is_no_way_round_the_judge(
    target: Target, tree: Path, scope: int, fixed_root: bool
) -> None:
    """What exists and what would be made is judged by its canonical name, and refused."""
    asked: list[str] = []

    def refuse(names: tuple[str, ...], _missing: int) -> int:
        asked.append(names[0])
        return EACCES

    view = target.view(fixed_root=fixed_root)
    for name, flags, canonical in (
        (b"to_dir/file", os.O_RDONLY, "dir/file"),
        (b"dir//./file", os.O_RDWR | os.O_CREAT, "dir/file"),
        (b"to_dir/new", os.O_RDWR | os.O_CREAT, "dir/new"),
        (b"new", os.O_RDWR | os.O_CREAT, "new"),
    ):
        mode = 0o600 if flags & os.O_CREAT else 0
        fd = open_judged(view, AT_FDCWD, name, flags, mode, refuse, resolve=scope)
        assert (fd, asked[-1]) == (-EACCES, f"{tree}/{canonical}"), name
    assert not (tree / "dir/new").exists()
    assert not (tree / "new").exists()


@pytest.mark.parametrize("scope", SCOPES)
def test_flags_within_a_scope(target: Target, scope: int) -> None:
    """O_NOFOLLOW and O_EXCL mean what they mean without one."""
    view = target.view()

    def tried(name: bytes, flags: int) -> int:
        mode = 0o600 if flags & os.O_CREAT else 0
        return open_judged(view, AT_FDCWD, name, flags, mode, permit, resolve=scope)

    assert tried(b"to_file", NOFOLLOW) == -ELOOP
    assert tried(b"file", os.O_CREAT | os.O_EXCL) == -EEXIST
    assert tried(b"to_file", os.O_CREAT | os.O_EXCL) == -EEXIST
    link = tried(b"to_file", os.O_PATH | NOFOLLOW)
    assert stat.S_ISLNK(os.fstat(link).st_mode)
    os.close(link)


@pytest.mark.parametrize("scope", [None, 0, *SCOPES])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH, os.O_RDWR])
@pytest.mark.parametrize("name", [b"file", b"to_file", b"dir/../file"])
def test_descriptors_are_not_inherited(
    target: Target, scope: int | None, flags: int, name: bytes
) -> None:
    """Whatever the way: the supervisor's own children get none of its targets' files."""
    fd = open_judged(target.view(), AT_FDCWD, name, flags, 0, permit, resolve=scope)
    assert fd >= 0
    assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    os.close(fd)


@pytest.mark.parametrize("fixed_root", [True, False])
def test_as_many_links_as_the_kernel_follows(target: Target, tree: Path, fixed_root: bool) -> None:
    """MAXSYMLINKS of them lead somewhere, one more is ELOOP."""
    (tree / "link0").symlink_to("file")
    for number in range(1, 42):
        (tree / f"link{number}").symlink_to(f"link{number - 1}")
    view = target.view(fixed_root=fixed_root)
    for number, errno in ((38, 0), (39, 0), (40, ELOOP), (41, ELOOP)):
        real = target.call("open", (target.text(b"link%d" % number), 0, 0))
        if real >= 0:
            target.opened()
        with resolve(view, AT_FDCWD, b"link%d" % number) as pinned:
            assert (pinned.errno, pinned.exists) == (errno, errno == 0), number
            assert real >= 0 or real == -errno


def test_entries_that_are_dots(target: Target, tree: Path) -> None:
    """To remove `.` or `..` is judged by the directory that they are."""
    asked: list[str] = []

    def refuse(names: tuple[str, ...], _missing: int) -> int:
        asked.append(names[0])
        return EACCES

    for name, canonical in ((b"dir/sub/..", "dir"), (b"dir/sub/.", "dir/sub"), (b"dir/", "dir")):
        args = (target.text(name), 0, 0, 0, 0, 0)
        assert perform(target.view(), "x86_64", "rmdir", args, refuse) == -EACCES
        assert asked[-1] == f"{tree}/{canonical}"


def test_descriptors_that_cannot_be(target: Target) -> None:
    """EBADF, as for the task."""
    assert target.view().directory(-5) == -EBADF
    assert target.view().directory(99) == -EBADF


@pytest.mark.parametrize("call", ["unlink", "chmod"])
def test_nothing_is_done_for_a_call_that_is_over(call: str, target: Target, tmp_path: Path) -> None:
    """Its name may have been read from the memory of whoever has the task's number by then."""
    place = tmp_path / "file"
    place.touch(0o640)
    view = target.view()

    def refuse() -> None:
        raise TargetGone("not held")

    view.validate = refuse
    name = target.text(os.fsencode(place))
    with pytest.raises(TargetGone):
        perform(view, "x86_64", call, (name, 0, 0, 0, 0, 0), lambda names, missing: 0)
    assert stat.S_IMODE(place.stat().st_mode) == 0o640


def test_nothing_is_written_for_a_call_that_is_over(target: Target) -> None:
    """The task's number may be another's by then."""
    view = target.view()

    def refuse() -> None:
        raise TargetGone("not held")

    view.validate = refuse
    with pytest.raises(TargetGone):
        view.write_bytes(target.output, b"result")
    for look in (view.directory, view.duplicate):
        with pytest.raises(TargetGone):
            look(0)
    with pytest.raises(TargetGone):
        view.status_text()
    assert not target.written().rstrip(b"\0")


class Rooted(View):
    """A view from a directory."""

    __slots__ = ("directory_name",)

    def __init__(self, directory: Path) -> None:
        super().__init__(os.getpid(), os.getpid())
        self.directory_name = directory

    def root(self) -> int:
        return os.open(self.directory_name, os.O_PATH)


def test_names_from_another_root(tree: Path) -> None:
    """What is in it starts there, what is beside it stays outside, whatever its name."""
    (tree / "directory").mkdir()
    view = Rooted(tree / "dir")
    base = os.fsencode(tree)
    assert strip_root(view, base + b"/dir/file") == b"/file"
    assert strip_root(view, base + b"/dir") == b"/"
    assert strip_root(view, base + b"/directory") == b"(unreachable)" + base + b"/directory"
    assert strip_root(view, base) == b"(unreachable)" + base
    for name, seen in (("dir/file", b"/file"), ("directory", base + b"/directory")):
        fd = opened(tree / name)
        assert names_in(view, fd).seen == seen
        os.close(fd)


def test_absolute_names_in_another_root(tree: Path) -> None:
    """They start at the task's root, also where the supervisor's has the same names."""
    (tree / "dir/etc").mkdir()
    (tree / "dir/etc/passwd").write_text("of the task")
    (tree / "dir/link").symlink_to("/etc/passwd")
    view = Rooted(tree / "dir")
    view.fixed_credentials = True
    for name in (b"/etc/passwd", b"/etc/../etc/passwd", b"/link", b"/../etc/passwd"):
        with resolve(view, AT_FDCWD, name) as pinned:
            assert pinned.seen == b"/etc/passwd"
            assert (pinned.name, *pinned.others) == (str(tree / "dir/etc/passwd"), "/etc/passwd")
            assert os.fstat(pinned.fd).st_ino == (tree / "dir/etc/passwd").stat().st_ino
        fd = open_judged(view, AT_FDCWD, name, os.O_RDONLY, 0, permit)
        assert os.read(fd, 99) == b"of the task"
        os.close(fd)


def test_sameness_of_objects(tree: Path) -> None:
    """One object by two names is the same, two of one file system are not."""
    descriptors = {name: opened(tree / name) for name in ("file", "hard", "dir", "to_file")}
    file = descriptors["file"]
    assert is_same(file, descriptors["hard"])
    assert not is_same(file, descriptors["dir"])
    assert not is_same(file, descriptors["to_file"])
    assert not is_same(file, -1)
    for fd in descriptors.values():
        os.close(fd)


_LOOKS = 5000
"""With a fifth of them threads met in every run."""


class _AllBound:
    """As if every file system were mounted twice."""

    def is_shown_twice(self, name: bytes) -> bool:
        return True


def test_other_names_of_denied_objects(tree: Path) -> None:
    """Looked for where there can be some, and all of them where nothing can be told."""
    single, linked = str(tree / "dir/file"), str(tree / "file")
    descriptors = {name: opened(tree / name) for name in ("dir/file", "hard", "dir")}
    names = [single, linked, str(tree / "absent"), str(tree / "dir")]
    plain = SameObjects(names, Places())
    bound = SameObjects(names, cast("Places", _AllBound()))
    assert plain.of(descriptors["hard"]) == bound.of(descriptors["hard"]) == (linked,)
    assert (plain.of(descriptors["dir/file"]), bound.of(descriptors["dir/file"])) == ((), (single,))
    assert (plain.of(descriptors["dir"]), bound.of(descriptors["dir"])) == ((), (names[-1],))
    assert plain.may_be_found()
    assert bound.may_be_found()
    assert not SameObjects([single, names[-1]], Places()).may_be_found()
    assert plain.of(-1) == tuple(names)
    for fd in descriptors.values():
        os.close(fd)


def test_no_links_also_where_hard_links_are_looked_for(target: Target, tree: Path) -> None:
    """RESOLVE_NO_SYMLINKS is ELOOP for a link, on its way or at its end."""
    view = target.view()
    view.same_objects = SameObjects([str(tree / "other/file")], Places())
    for name, result in ((b"to_file", -ELOOP), (b"to_dir/file", -ELOOP)):
        assert open_judged(view, AT_FDCWD, name, os.O_RDONLY, 0, permit, resolve=4) == result
    fd = open_judged(view, AT_FDCWD, b"to_file", os.O_RDONLY, 0, permit, resolve=0)
    assert fd >= 0
    os.close(fd)


def test_no_links_comes_before_what_they_lead_to(target: Target, tree: Path) -> None:
    """A link into a denied directory is ELOOP, as bare, and what is denied by itself refused."""

    def judge(names: tuple[str, ...], _missing: int) -> int:
        return EACCES if "/dir/" in names[0] else 0

    view = target.view()
    for view.same_objects in (None, SameObjects([str(tree / "other/file")], Places())):
        for name, result in ((b"to_dir/file", -ELOOP), (b"dir/file", -EACCES)):
            assert open_judged(view, AT_FDCWD, name, os.O_RDONLY, 0, judge, resolve=4) == result


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "name", [b"dir/no", b"dir/no/further", b"dir/file/x", b"to_dir/no", b"dir//no/"]
)
def test_what_is_missing_within_a_scope_is_judged(
    target: Target, tree: Path, scope: int, name: bytes
) -> None:
    """Whether there is something in a denied directory cannot be told from the errno."""
    asked: list[str] = []

    def judge(names: tuple[str, ...], _missing: int) -> int:
        asked.append(names[0])
        return EACCES

    found = open_judged(target.view(), AT_FDCWD, name, os.O_RDONLY, 0, judge, resolve=scope)
    assert (found, asked[-1][: len(str(tree)) + 5]) == (-EACCES, f"{tree}/dir/")


@pytest.mark.parametrize("fixed_root", [True, False], ids=["fixed-root", "root-asked"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    ("name", "place"),
    [
        (b"dangling", "nowhere"),
        (b"dangling_in_dir", "dir/new"),
        (b"to_missing_dir", "missing/x"),
        (b"to_missing_dir/y", "missing/x/y"),
    ],
)
def test_a_link_to_nothing_within_a_scope_means_where_it_leads(
    target: Target, tree: Path, scope: int, name: bytes, place: str, fixed_root: bool
) -> None:
    """That is what is judged, whether or not it may be made there, and what is made."""

    def refuse(names: tuple[str, ...], _missing: int) -> int:
        return EACCES if names[0] == str(tree / place) else 0

    def opened(flags: int, judge: Judge) -> int:
        view = target.view(fixed_root=fixed_root)
        mode = 0o600 if flags & os.O_CREAT else 0
        return open_judged(view, AT_FDCWD, name, flags, mode, judge, resolve=scope)

    makes = os.O_WRONLY | os.O_CREAT
    assert [opened(flags, refuse) for flags in (os.O_RDONLY, makes)] == [-EACCES, -EACCES]
    assert not (tree / place).exists()
    assert opened(os.O_RDONLY, permit) == -ENOENT
    made = opened(makes, permit)
    assert (made >= 0) == (tree / place).exists() == (tree / place).parent.exists()
    release(made)


def test_behind_a_link_to_nothing_an_absolute_name_goes_on_from_the_root(
    target: Target, tree: Path
) -> None:
    """Also where the task's root has to be asked for."""
    if tree.stat().st_dev != Path("/").stat().st_dev:
        pytest.skip("the file system of the root has no directory for tests")
    name, flags = os.fsencode(tree / "dangling_in_dir"), os.O_WRONLY | os.O_CREAT
    for fixed_root in (True, False):
        view = target.view(fixed_root=fixed_root)
        made = open_judged(view, AT_FDCWD, name, flags, 0o600, permit, resolve=RESOLVE_NO_XDEV)
        assert made >= 0
        release(made)
        (tree / "dir/new").unlink()


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("name", "result"), [(b"dir/no/", -EISDIR), (b"dir/no/x", -ENOENT)])
def test_what_cannot_be_made_within_a_scope(
    target: Target, tree: Path, scope: int, name: bytes, result: int
) -> None:
    """Neither a file with a slash at its end, nor one in a directory that is missing."""
    flags = os.O_WRONLY | os.O_CREAT
    found = open_judged(target.view(), AT_FDCWD, name, flags, 0o600, permit, resolve=scope)
    assert found == result
    assert not (tree / "dir/no").exists()


def test_many_threads_look_at_the_mounts_at_once() -> None:
    """None fails, though a poll object serves one thread at a time (RuntimeError)."""
    places = Places()
    seen: list[bool] = []

    def look() -> None:
        seen.extend(places.are_as_before() for _ in range(_LOOKS))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(threads) * _LOOKS


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_a_bind_is_noticed(tree: Path) -> None:
    """An object that two mounts show has another name; so has what will be made beneath them."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            namespaces.unshare(namespaces.CLONE_NEWNS)
            libc.mount(b"none", b"/", None, ctypes.c_ulong(0x44000), None)
            here = os.fsencode(tree)
            bound = libc.mount(here, here, None, ctypes.c_ulong(0x1000), None)
            places = Places()
            shown = [places.is_shown_twice(here + name) for name in (b"/file", b"/absent", b"")]
            beside = places.is_shown_twice(os.fsencode(tree.parent) + b"/absent")
            os.write(writing, f"{bound} {shown} {beside}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 99) == b"0 [True, True, True] False"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_links_of_a_mount_that_has_none_to_follow(tree: Path) -> None:
    """MS_NOSYMFOLLOW is ELOOP, on the way and at the end, by steps as by the kernel."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            namespaces.unshare(namespaces.CLONE_NEWNS)
            libc.mount(b"none", b"/", None, ctypes.c_ulong(0x44000), None)
            place = os.fsencode(tree / "empty")
            done = libc.mount(b"none", place, b"tmpfs", ctypes.c_ulong(256), None)
            (tree / "empty/link").symlink_to("/etc")
            view = View(os.getpid(), os.getpid(), fixed_root=True, fixed_credentials=True)
            found = [
                resolve(view, AT_FDCWD, place + name).errno for name in (b"/link", b"/link/passwd")
            ]
            os.write(writing, f"{done} {found}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 99) == f"0 [{ELOOP}, {ELOOP}]".encode()


class Masked(View):
    """A view of a task that may change its umask."""

    __slots__ = ("mask",)
    mask: int

    def umask(self) -> int:
        return self.mask


def test_a_thread_takes_each_umask_for_itself(tmp_path: Path) -> None:
    """Also a second one; the rest of the process keeps its own."""
    modes: list[int] = []

    def run() -> None:
        view = Masked(os.getpid(), os.getpid())
        for number, mask in enumerate((0o077, 0o007, 0o077)):
            view.mask = mask
            take_umask(view)
            fd = os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY, 0o666)
            modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
            os.close(fd)

    before = os.umask(0o022)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert modes == [0o600, 0o660, 0o600]
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_an_identity_of_another_user_namespace_is_not_assumed() -> None:
    """Its ids and capabilities mean something else there."""
    done: list[int] = []

    def act() -> int:
        done.append(1)
        return 0

    own = own_identity()
    other = own._replace(namespace="user:[1]")
    with pytest.raises(OutOfReach, match="another user namespace"):
        act_as(other, own, act)
    assert done == []


def test_an_act_has_the_capabilities_of_its_identity() -> None:
    """Root without capabilities is no root, though its ids are those of the supervisor."""

    def act() -> int:
        text = Path("/proc/thread-self/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("CapEff"))
        return int(line.split()[1], 16)

    own = own_identity()
    assert act_as(own._replace(effective=0), own, act) == 0
    assert act_as(own, own, act) == own.effective & own.permitted


def test_a_failure_in_an_act_is_no_denial() -> None:
    """It is raised where the act was asked for."""

    def act() -> int:
        raise TargetGone("gone")

    with pytest.raises(TargetGone):
        act_as(own_identity(), own_identity(), act)


def test_the_identity_that_access_asks_about() -> None:
    """Real ids; the permitted capabilities for root, none for others (access(2))."""
    own = own_identity()
    user = own._replace(uids=(5, 6, 7, 8), gids=(1, 2, 3, 4), effective=3, permitted=15)
    assert user.real() == user._replace(uids=(5, 6, 7, 5), gids=(1, 2, 3, 1), effective=0)
    root = user._replace(uids=(0, 6, 7, 8))
    assert root.real().effective == 15


def facts(**changes: int) -> Status:
    found = status(AT_FDCWD, b"/", AT_EMPTY_PATH)
    assert isinstance(found, Status)
    small = found._replace(ino=5, nlink=2, size=7, uid=1, gid=2, rdev_major=0, rdev_minor=0)
    return small._replace(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"ino": 1 << 32}, {"nlink": 1 << 16}, {"size": 1 << 31}],
    ids=["inode", "links", "size"],
)
def test_what_a_stat_of_32_bits_cannot_show(changes: dict[str, int]) -> None:
    """EOVERFLOW in the old calls, and in those alone."""
    assert pack_stat(ABIS["i386"], "stat", facts(**changes)) == -EOVERFLOW
    assert isinstance(pack_stat(ABIS["i386"], "stat64", facts(**changes)), bytes)
    assert isinstance(pack_stat(ABIS["x86_64"], "stat", facts(**changes)), bytes)
    assert isinstance(pack_stat(ABIS["i386"], "stat", facts()), bytes)


def test_what_the_first_stat_cannot_show() -> None:
    """Inodes and links of 16 bits; sizes and devices are cut (cp_old_stat)."""
    for changes in ({"ino": 1 << 16}, {"nlink": 1 << 16}):
        assert pack_stat(ABIS["i386"], "oldstat", facts(**changes)) == -EOVERFLOW
    shown = facts(size=1 << 32 | 7, dev_major=1, dev_minor=0x203, atime=8)
    fields = struct.unpack("<8H4I", bytes(pack_stat(ABIS["i386"], "oldlstat", shown)))
    assert (fields[0], fields[1], fields[8], fields[9]) == (0x303, 5, 7, 8)


def test_ids_and_devices_in_structs() -> None:
    """Ids over 16 bits are the overflow id in the old struct; device numbers keep all bits."""
    old = pack_stat(ABIS["i386"], "stat", facts(uid=70_000, gid=65_535))
    assert isinstance(old, bytes)
    assert old[12:16] == (65_534).to_bytes(2, "little") + (65_535).to_bytes(2, "little")
    device = os.makedev(0x12, 0x34567)
    wide = pack_stat(ABIS["x86_64"], "stat", facts(rdev_major=0x12, rdev_minor=0x34567))
    assert isinstance(wide, bytes)
    assert wide[40:48] == device.to_bytes(8, "little")


def test_a_watch_that_must_not_follow(tree: Path) -> None:
    """IN_DONT_FOLLOW speaks of the name's end, which was not followed already."""
    fd = libc.syscall(294, os.O_NONBLOCK, 0, 0, 0, 0, 0)
    view = View(os.getpid(), os.getpid(), fixed_root=True, fixed_credentials=True)
    text = ctypes.create_string_buffer(os.fsencode(tree / "dir"))
    args = (fd, ctypes.addressof(text), 0x0200_0100, 0, 0, 0)
    assert perform(view, "x86_64", "inotify_add_watch", args, permit) == 1
    (tree / "dir/new").touch()
    assert b"new\0" in os.read(fd, 4096)
    os.close(fd)

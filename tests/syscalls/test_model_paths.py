"""Every name that a call takes, by its manual page: where it starts, what a link at its end means.

The table is turned round (calls by what they have in common), so that no line of it can be copied
from the model's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from enforcer.arch import ABIS
from enforcer.syscalls import names, number, syscall, table
from enforcer.syscalls.model import Argument, Follow, Kind

FLAGS = {
    "AT_SYMLINK_NOFOLLOW": 0x100,
    "AT_SYMLINK_FOLLOW": 0x400,
    "AT_EMPTY_PATH": 0x1000,
    "IN_DONT_FOLLOW": 0x0200_0000,
    "FAN_MARK_DONT_FOLLOW": 0x4,
    "UMOUNT_NOFOLLOW": 0x8,
    "FSPICK_SYMLINK_NOFOLLOW": 0x2,
    "FSPICK_EMPTY_PATH": 0x8,
    "MOVE_MOUNT_F_SYMLINKS": 0x1,
    "MOVE_MOUNT_F_EMPTY_PATH": 0x4,
    "MOVE_MOUNT_T_SYMLINKS": 0x10,
    "MOVE_MOUNT_T_EMPTY_PATH": 0x40,
}
"""fcntl.h, inotify.h, fanotify.h and mount.h of the kernel."""

PATHS = """
0 cwd creates       followed                        -
    creat
0 cwd creates       oflags                          -
    open
1 0   creates       oflags                          -
    openat openat2
0 cwd creates,entry nofollow                        -
    mkdir mknod spu_create
1 cwd creates,entry nofollow                        -
    rename link symlink
1 0   creates,entry nofollow                        -
    mkdirat mknodat
2 1   creates,entry nofollow                        -
    symlinkat
3 2   creates,entry nofollow                        -
    renameat renameat2 linkat
0 cwd entry         nofollow                        -
    rmdir unlink rename
1 0   entry         nofollow                        -
    unlinkat renameat renameat2
1 cwd handle        followed                        -
    open_by_handle_at
0 cwd object        followed                        -
    uselib stat stat64 oldstat access statfs statfs64 getxattr listxattr truncate truncate64 chmod
    chown chown32 utime utimes setxattr removexattr acct chdir chroot pivot_root umount swapon
    swapoff execve
1 cwd object        followed                        -
    pivot_root mount quotactl
1 0   object        followed                        -
    faccessat fchmodat
1 0   object        followed                        null
    futimesat
0 cwd object        nofollow                        -
    lstat lstat64 oldlstat readlink lgetxattr llistxattr link lchown lchown32 lsetxattr lremovexattr
1 0   object        nofollow                        empty
    readlinkat
0 cwd object        unless:1:UMOUNT_NOFOLLOW        -
    umount2
1 cwd object        unless:2:IN_DONT_FOLLOW         -
    inotify_add_watch
1 0   object        if:4:AT_SYMLINK_FOLLOW          4:AT_EMPTY_PATH
    name_to_handle_at linkat
1 0   object        if:4:MOVE_MOUNT_F_SYMLINKS      4:MOVE_MOUNT_F_EMPTY_PATH
    move_mount
1 0   object        unless:2:AT_SYMLINK_NOFOLLOW    2:AT_EMPTY_PATH
    open_tree open_tree_attr mount_setattr
1 0   object        unless:2:AT_SYMLINK_NOFOLLOW    2:AT_EMPTY_PATH,nullable
    statx
1 0   object        unless:2:AT_SYMLINK_NOFOLLOW    2:AT_EMPTY_PATH,nullable,opened
    getxattrat listxattrat setxattrat removexattrat
1 0   object        unless:2:FSPICK_SYMLINK_NOFOLLOW 2:FSPICK_EMPTY_PATH
    fspick
1 0   object        unless:3:AT_SYMLINK_NOFOLLOW    3:AT_EMPTY_PATH,nullable
    newfstatat fstatat64
1 0   object        unless:3:AT_SYMLINK_NOFOLLOW    3:AT_EMPTY_PATH,null
    utimensat utimensat_time64
1 0   object        unless:3:AT_SYMLINK_NOFOLLOW    3:AT_EMPTY_PATH
    faccessat2 fchmodat2
1 0   object        unless:4:AT_SYMLINK_NOFOLLOW    4:AT_EMPTY_PATH
    fchownat execveat
1 0   object        unless:4:AT_SYMLINK_NOFOLLOW    4:AT_EMPTY_PATH,nullable,opened
    file_getattr file_setattr
3 2   object        if:4:MOVE_MOUNT_T_SYMLINKS      4:MOVE_MOUNT_T_EMPTY_PATH
    move_mount
4 3   object        unless:1:FAN_MARK_DONT_FOLLOW   null
    fanotify_mark
"""
"""The argument's place; the directory's descriptor or cwd; whether the call makes the name, acts
on the entry or on what it names; whether a link is followed (`oflags`: by O_NOFOLLOW and its like,
else by a flag in an argument); when no name means the descriptor (`opened`: none of
O_PATH). Beneath: the calls that take such a name, on 64-bit ABIs."""

FOLLOWS = {
    "followed": (Follow.ALWAYS, None, 0),
    "nofollow": (Follow.NEVER, None, 0),
    "oflags": (Follow.OPEN, None, 0),
}
WORDS = {"unless": Follow.UNLESS_FLAG, "if": Follow.IF_FLAG}


def rows() -> Iterator[tuple[str, Argument]]:
    """Each call of the table with a name that it takes."""
    shape: list[str] = []
    for line in PATHS.strip().splitlines():
        if line[0] != " ":
            shape = line.split()
            continue
        for call in line.split():
            yield call, expected(*shape)


def expected(place: str, start: str, acts: str, link: str, empty: str) -> Argument:
    """A name of this shape as the model says it, but for its label."""
    word, _, where = link.partition(":")
    follow, argument, flag = FOLLOWS.get(word, (Follow.ALWAYS, None, 0))
    if where:
        register, _, name = where.partition(":")
        follow, argument, flag = WORDS[word], int(register), FLAGS[name]
    empties = empty.split(",")
    flagged = next((FLAGS[each.partition(":")[2]] for each in empties if ":" in each), 0)
    return Argument(
        index=int(place),
        name="",
        kind=Kind.PATH,
        dirfd=None if start == "cwd" else int(start),
        follow=follow,
        follow_argument=argument,
        follow_flag=flag,
        empty_flag=flagged,
        creates="creates" in acts,
        parent="entry" in acts,
        layout="file_handle" if acts == "handle" else "",
        empty="empty" in empties,
        null="null" in empties,
        nullable="nullable" in empties,
        opened="opened" in empties,
    )


def taken(call: str, abi: str | None = None) -> list[Argument]:
    """The names that a call takes, without their labels."""
    found = (each for each in syscall(call, abi).arguments if each.kind is Kind.PATH)
    return [unlabelled(each) for each in found]


def unlabelled(argument: Argument) -> Argument:
    return Argument(**{**vars(argument), "name": ""})


BY_CALL: dict[str, list[Argument]] = {}
for _call, _argument in rows():
    BY_CALL.setdefault(_call, []).append(_argument)


@pytest.mark.parametrize("call", sorted(BY_CALL))
def test_names_are_those_of_the_manual(call: str) -> None:
    """Places, directories, links, empty names and what is acted on, of every name of the call."""
    by_place = sorted(BY_CALL[call], key=lambda each: each.index)
    assert taken(call) == by_place


def test_no_call_takes_another_name() -> None:
    """The table has every call with a name, and nothing else."""
    assert {call for call in names() if taken(call)} == set(BY_CALL)


NAMED = "fchmod fchown fchown32 fsetxattr fremovexattr"


@pytest.mark.parametrize("abi", [None, *ABIS])
def test_descriptors_that_are_names_too(abi: str | None) -> None:
    """Of these calls, on every ABI, the first argument; of no other call any."""
    for call in names() if abi is None else table(abi):
        named = [each.index for each in syscall(call, abi).arguments if each.named]
        assert named == ([0] if call in NAMED.split() else []), call


@pytest.mark.parametrize("abi", ABIS)
def test_names_are_the_same_on_every_abi(abi: str) -> None:
    """Except fanotify_mark's, whose mask takes two registers of 32-bit ABIs."""
    for call in BY_CALL:
        if number(abi, call) is None:
            continue
        if call == "fanotify_mark" and abi in ("i386", "arm"):
            (name,) = taken(call, abi)
            assert (name.index, name.dirfd, name.follow_argument) == (5, 4, 1)
        else:
            assert taken(call, abi) == taken(call), call

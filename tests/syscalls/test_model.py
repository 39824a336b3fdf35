"""The model: complete, consistent, and true of well-known calls."""

from __future__ import annotations

import pytest

from enforcer.arch import ABIS
from enforcer.condition import TRUE, holds
from enforcer.syscalls import ALIASES, name, names, number, split, syscall, table, varies
from enforcer.syscalls.loader import modelled
from enforcer.syscalls.model import Follow, Kind

AT_FDCWD = 0xFFFF_FF9C
EVERY_CALL = sorted({(abi, call) for abi in ABIS for call in table(abi)})

READERS = """
    open openat openat2 access faccessat faccessat2 stat lstat stat64 lstat64 newfstatat fstatat64
    statx readlink readlinkat statfs statfs64 getxattr lgetxattr getxattrat listxattr llistxattr
    listxattrat file_getattr name_to_handle_at open_tree open_tree_attr inotify_add_watch
    fanotify_mark uselib open_by_handle_at
"""
WRITERS = """
    open openat openat2 creat mkdir mkdirat mknod mknodat rmdir unlink unlinkat rename renameat
    renameat2 link linkat symlink symlinkat truncate truncate64 chmod fchmod fchmodat fchmodat2
    chown chown32 lchown lchown32 fchown fchown32 fchownat utime utimes futimesat utimensat
    utimensat_time64 setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr
    fremovexattr removexattrat file_setattr bind acct swapon open_by_handle_at
"""
NAME_TAKERS = {"fsread": set(READERS.split()), "fswrite": set(WRITERS.split())}

OWN_RULES = """
    chdir chroot pivot_root mount umount umount2 move_mount mount_setattr fspick swapoff
    quotactl execve execveat
"""
"""Calls that take a path and belong to no alias."""


@pytest.mark.parametrize("abi", ABIS)
def test_every_call_of_every_abi_is_modelled(abi: str) -> None:
    """No call is left unclassified, and the model has no call that no ABI has."""
    assert set(table(abi)) <= modelled()
    assert modelled() == names()
    for call in table(abi):
        model = syscall(call, abi)
        assert model.name == call
        assert model.arguments or model == syscall(call)


@pytest.mark.parametrize("abi", ABIS)
def test_arguments_fit_six_registers(abi: str) -> None:
    """Arguments have registers of their own, and what they refer to is of the right kind."""
    for call in table(abi):
        arguments = syscall(call, abi).arguments
        by_index = {argument.index: argument for argument in arguments}
        assert len(by_index) == len(arguments), call
        assert all(0 <= index < 6 for index in by_index), call
        for argument in arguments:
            if argument.dirfd is not None:
                assert by_index[argument.dirfd].kind is Kind.FD, call
            if argument.follow_argument is not None:
                assert by_index[argument.follow_argument].kind is Kind.FLAGS, call
            if argument.follow in (Follow.UNLESS_FLAG, Follow.IF_FLAG):
                assert argument.follow_flag.bit_count() == 1, call
            if argument.length is not None:
                assert by_index[argument.length].kind is Kind.VALUE, call
            assert (argument.kind is Kind.STRUCT) == bool(
                argument.layout and argument.layout != "file_handle"
            ), call


def test_equivalents_exist_and_groups_are_mutual() -> None:
    """An equivalent is a modelled call; a call is not its own."""
    for call in names():
        assert syscall(call).equivalents <= names()
        assert call not in syscall(call).equivalents
    assert "openat2" in syscall("open").equivalents
    assert "open" in syscall("openat2").equivalents
    assert "sendto" in syscall("connect").equivalents
    assert "connect" not in syscall("sendto").equivalents


@pytest.mark.parametrize("alias", NAME_TAKERS)
def test_aliases_cover_whole_families(alias: str) -> None:
    """The alias has every call of its family that some ABI has."""
    assert NAME_TAKERS[alias] & names() <= ALIASES[alias]
    for call in ALIASES[alias]:
        assert alias in {membership.alias for membership in syscall(call).aliases}


def test_every_call_with_a_path_has_an_alias_or_rules_of_its_own() -> None:
    """A new call that takes a path is noticed here."""
    for call in names():
        model = syscall(call)
        takes_path = any(argument.is_name for argument in model.arguments)
        if takes_path and call not in OWN_RULES.split():
            assert model.aliases, call
        if model.aliases and call != "bind":
            assert takes_path, call


@pytest.mark.parametrize(
    ("flags", "alias"),
    [
        (0o0, "fsread"),
        (0o2000000, "fsread"),
        (0o1, "fswrite"),
        (0o2, "fswrite"),
        (0o3, "fswrite"),
        (0o100, "fswrite"),
        (0o1000, "fswrite"),
        (0o101102, "fswrite"),
    ],
)
@pytest.mark.parametrize(("call", "place"), [("open", 1), ("openat", 2), ("open_by_handle_at", 2)])
def test_open_reads_or_writes_by_its_flags(call: str, place: int, flags: int, alias: str) -> None:
    """O_RDONLY without creating or cutting reads, all else writes, whatever the upper half."""
    for junk in (0, 0xDEAD_BEEF_0000_0000):
        args = [0] * 6
        args[place] = flags | junk
        member_of = [
            membership.alias
            for membership in syscall(call).aliases
            if membership.when is not None and holds(membership.when, args)
        ]
        assert member_of == [alias]


def test_memberships_that_registers_cannot_tell() -> None:
    """openat2 keeps its flags, bind its family in memory; all other memberships are certain."""
    unknown = {
        call for call in names() for membership in syscall(call).aliases if membership.when is None
    }
    assert unknown == {"openat2", "bind"}
    assert [m.when for m in syscall("renameat2").aliases] == [TRUE]


def test_a_file_handle_is_a_name_that_cannot_be_read() -> None:
    """Path rules see a filename on open_by_handle_at, which nothing can translate."""
    model = syscall("open_by_handle_at")
    assert "filename" in model.translators
    assert model.arguments[1].layout == "file_handle"


CALLS = {
    "openat": "fd filename oflags mode",
    "openat2": "fd filename oflags mode",
    "execve": "filename argv",
    "connect": "fd sockaddr",
    "sendto": "fd flags sockaddr",
    "sendmsg": "fd sockaddr flags",
    "renameat2": "fd filename fd filename flags",
    "linkat": "fd filename fd filename flags",
    "symlinkat": "string fd filename",
    "ioctl": "fd cmd",
    "mmap": "prot flags fd",
    "clone": "flags",
    "clone3": "flags",
    "socket": "sockdom socktype",
    "kill": "pidname signame",
    "fchownat": "fd filename uid gid flags",
    "getppid": "",
}


@pytest.mark.parametrize("call", CALLS)
def test_translators_of_well_known_calls(call: str) -> None:
    """What rules on a call may speak of, in argument order, on every ABI that has it."""
    for abi in ABIS:
        if number(abi, call) is not None:
            assert " ".join(syscall(call, abi).translators) == CALLS[call]


def test_where_names_start_and_whether_they_are_followed() -> None:
    """dirfd, follow rules and empty paths of the *at family."""
    at = {call: syscall(call).arguments for call in ("newfstatat", "linkat", "unlinkat", "chmod")}
    stat = at["newfstatat"][1]
    assert (stat.dirfd, stat.follow, stat.follow_argument) == (0, Follow.UNLESS_FLAG, 3)
    assert (stat.follow_flag, stat.empty_flag, stat.nullable) == (0x100, 0x1000, True)
    old, new = (argument for argument in at["linkat"] if argument.kind is Kind.PATH)
    assert (old.dirfd, old.follow, old.follow_flag, old.empty_flag) == (
        0,
        Follow.IF_FLAG,
        0x400,
        0x1000,
    )
    assert (new.dirfd, new.follow, new.creates, new.parent) == (2, Follow.NEVER, True, True)
    assert (at["unlinkat"][1].parent, at["unlinkat"][1].creates) == (True, False)
    assert (at["chmod"][0].dirfd, at["chmod"][0].follow) == (None, Follow.ALWAYS)
    assert syscall("lchown").arguments[0].follow is Follow.NEVER
    assert syscall("openat").arguments[1].follow is Follow.OPEN
    assert syscall("readlinkat").arguments[1].empty
    assert syscall("move_mount").arguments[3].follow_flag == 0x10


def test_registers_that_differ_between_abis() -> None:
    """clone on s390x, the struct of the old mmap, pairs of registers, 16-bit ids."""

    def place(call: str, abi: str, argument: str) -> int:
        return next(a.index for a in syscall(call, abi).arguments if a.name == argument)

    assert place("clone", "x86_64", "clone_flags") == 0
    assert place("clone", "s390x", "clone_flags") == 1
    assert place("clone", "arm64", "tls") == 3
    assert place("clone", "x86_64", "tls") == 4
    assert syscall("mmap", "i386").arguments[0].layout == "mmap_arg_struct"
    assert syscall("mmap", "s390x").arguments[0].layout == "mmap_arg_struct"
    assert place("mmap", "ppc64le", "prot") == 2
    assert place("fanotify_mark", "x86_64", "pathname") == 4
    assert place("fanotify_mark", "i386", "pathname") == 5
    assert place("fanotify_mark", "arm", "dfd") == 4
    assert place("truncate64", "i386", "length") == 1
    assert place("truncate64", "arm", "length") == 2
    assert place("fadvise64_64", "i386", "advice") == 5
    assert place("arm_sync_file_range", "arm", "nbytes") == 4
    assert syscall("setuid", "i386").arguments[0].width == 16
    assert syscall("setuid", "x86_64").arguments[0].width == 32
    assert varies("mmap")
    assert not varies("openat")


def test_a_call_varies_where_its_arguments_do() -> None:
    """Most calls are told by their one line; it says the same as the models of all ABIs."""
    different = {
        name
        for name in modelled()
        if any(syscall(name, abi).arguments != syscall(name).arguments for abi in ABIS)
    }
    assert {name for name in modelled() if varies(name)} == different


def test_what_the_kernel_takes_as_32_bits() -> None:
    """int arguments, whose upper half no comparison may look at."""
    assert syscall("ioctl").arguments[1].width32
    assert syscall("openat").arguments[2].mask == 0xFFFF_FFFF
    assert not syscall("ioctl").arguments[2].width32
    assert not syscall("ptrace").arguments[0].width32
    assert syscall("chmod").arguments[1].mask == 0xFFFF


def test_carriers_and_calls_that_nobody_can_do_for_the_caller() -> None:
    """io_uring carries other calls; exec, chdir and umask change the caller."""
    assert {call for call in names() if syscall(call).carrier} == {
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
    }
    for call in ("execve", "chdir", "umask", "mount", "clone", "setuid", "mmap"):
        assert syscall(call).acts_on_caller
    for call in ("openat", "unlink", "connect", "rename", "stat"):
        assert not syscall(call).acts_on_caller
    assert syscall("openat").returns_fd
    assert not syscall("unlink").returns_fd
    assert not syscall("vserver").implemented


ARRAY = 0x8000


@pytest.mark.parametrize("abi", ["i386", "s390x", "ppc64le"])
def test_socketcall_stands_for_another_call(abi: str) -> None:
    """The first register names the call, the second points at its arguments."""
    nr = number(abi, "socketcall")
    assert nr is not None
    found = split(abi, nr, (3, ARRAY, 0, 0, 0, 0))
    assert found is not None
    assert (found.name, found.args, found.address, found.count) == ("connect", None, ARRAY, 3)
    sent = split(abi, nr, (9 | 0xFFFF << 32, ARRAY, 0, 0, 0, 0))
    assert sent is not None
    assert (sent.name, sent.count) == ("sendto", 4)
    assert split(abi, nr, (21, ARRAY, 0, 0, 0, 0)) is None


def test_ipc_moves_registers() -> None:
    """shmat's address is ipc's fifth register; old msgrcv keeps two arguments in memory."""
    nr = number("i386", "ipc")
    assert nr is not None
    found = split("i386", nr, (21, 7, 0o10000, 0x100, 0x2000, 0))
    assert found is not None
    assert (found.name, found.args) == ("shmat", (7, 0x2000, 0o10000, 0, 0, 0))
    old = split("i386", nr, (12, 7, 5, 0, 0x2000, 9))
    new = split("i386", nr, (1 << 16 | 12, 7, 5, 0, 0x2000, 9))
    assert old is not None
    assert new is not None
    assert (old.args, old.address, old.count) == (None, 0x2000, 2)
    assert new.args == (7, 0x2000, 5, 9, 0, 0)
    assert split("i386", nr, (99, 0, 0, 0, 0, 0)) is None


def test_other_calls_stand_for_themselves() -> None:
    """A plain call keeps its registers; an unlisted number is nothing."""
    nr = number("x86_64", "openat")
    assert nr is not None
    found = split("x86_64", nr, (AT_FDCWD, 1, 2, 3, 4, 5))
    assert found is not None
    assert (found.name, found.args) == ("openat", (AT_FDCWD, 1, 2, 3, 4, 5))
    assert split("x86_64", 100_000, (0,) * 6) is None
    assert name("x86_64", 100_000) is None

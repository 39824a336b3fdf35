"""Calls with arguments right and wrong, made from the syscall model: what `asking.py` tries."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import combinations, product

from enforcer.syscalls import syscall, table
from enforcer.syscalls.loader import modelled
from enforcer.syscalls.model import Argument, Kind

Word = int | str
"""A register, or a word of asking.py's (`=TEXT` is a string in memory)."""
Question = tuple[Word, ...]

OF_THE_MACHINE = frozenset(
    {
        "acct",
        "chroot",
        "execve",
        "execveat",
        "fanotify_mark",
        "fspick",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_by_handle_at",
        "open_tree",
        "open_tree_attr",
        "pivot_root",
        "quotactl",
        "swapoff",
        "swapon",
        "umount",
        "umount2",
        "uselib",
    }
)
"""Calls that change more than a scratch directory, end the asking program, or that no mechanism
does for its caller (docs/limits.md)."""

_NAMES: Sequence[Word] = (
    "=file",
    "=absent",
    "=",
    "NULL",
    "BAD",
    "=dir",
    "=link",
    "=file/x",
    "=dir/",
    "=loop",
    "=" + "x" * 256,
    "=" + "x/" * 2048,
)
_FLAGS = (0, 1, 2, 4, 8, 16, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x1100, 0x6000, 1 << 20, -1)
_SIZES = (64, 0, 1, 4096, 65536, 65537, 1 << 31, 1 << 63, -1)
_BY_LAYOUT: dict[str, Sequence[Word]] = {
    # Not RESOLVE_CACHED (32), to which EAGAIN is always an answer.
    "open_how": [f"HOW {how}" for how in ("0 0 0", "64 420 0", "0 420 0", "0 0 4", "0 0 8")]
    + [f"HOW {how}" for how in ("0 0 16", "0 0 24", "0 0 64", "0 0 -1", "4294967296 0 8")]
    + [f"HOW {how}" for how in ("2097152 0 8", "4259840 0 8", "4194304 0 0", "64 4294967716 8")]
    + ["NULL", "BAD"],
    "msghdr": ["MSG", "UNNAMED", "BADNAME", "LONG", "NEGATIVE", "MANY", "SHORT", "NULL", "BAD"],
    "mmsghdr": ["MSG", "NULL", "BAD"],
}
_BY_NAME: dict[str, Sequence[Word]] = {
    "mode": (0, 4, 2, 1, 7, 8, -1),
    "mask": (0x7FF, 0, 1 << 31, 1 << 20),
    "dev": (0, 0x103),
    "vlen": (1, 0, 2),
    "handle": ("HANDLE 128", "HANDLE 0", "HANDLE 4", "HANDLE 129", "NULL", "BAD"),
    "mnt_id": ("BUF", "NULL", "BAD", "READ-ONLY", "UNREADABLE"),
    "uargs": ("XARGS", "XARGS-BAD", "XARGS-FLAG", "NULL", "BAD"),
    "ufattr": ("FATTR", "FATTR-FLAG", "NULL", "BAD"),
    **dict.fromkeys(
        ("times", "utimes"), ("NULL", "TIMES", "TIMES-OMIT", "TIMES-OMIT-ONE", "TIMES-BAD", "BAD")
    ),
    **dict.fromkeys(
        ("addrlen", "addr_len"), (16, 0, 1, 2, 3, 7, 8, 15, 24, 28, 110, 111, 128, 129, -1)
    ),
}
_BY_KIND: dict[Kind, Sequence[Word]] = {
    Kind.PATH: _NAMES,
    Kind.FD: (-100, "DIR", "FILE", 99, -1, "PATHFILE"),
    Kind.OFLAGS: (0, 1, 2, 3, 0o100, 0o300, 0o1000, 0o400000, 0o200000, 0o20200002, 0o200100, -1),
    Kind.MODE: (0o644, 0, 0o7777, 0o170644, -1),
    Kind.UID: (0, 1, -1, 0xFFFF, (1 << 32) - 2),
    Kind.GID: (0, 1, -1, 0xFFFF, (1 << 32) - 2),
    Kind.FLAGS: _FLAGS,
    Kind.SOCKADDR: ("INET", "INET6", "SUN", "ABSTRACT", "UNSPEC", "FAMILY", "NULL", "BAD"),
    Kind.POINTER: ("BUF", "NULL", "BAD", "READ-ONLY", "UNREADABLE"),
}
_SOCKETS = ("UDP", "UNIX", "FILE", 99, -1)
_ATTRIBUTES = ("=user.x", "=user.absent", "=", "NULL", "BAD", "=nonsense", "=user." + "x" * 251)
_TEXTS = ("=file", "=", "NULL", "BAD", "=" + "x" * 5000)
_SENDS = frozenset({"sendto", "sendmsg", "sendmmsg"})


def asked_calls(abi: str) -> list[str]:
    """The calls of an ABI that take names or addresses, without OF_THE_MACHINE."""
    found = []
    for name in sorted(modelled() & table(abi).keys() - OF_THE_MACHINE):
        model = syscall(name, abi)
        texts = any(
            each.is_name or each.kind is Kind.SOCKADDR or each.layout in ("msghdr", "mmsghdr")
            for each in model.arguments
        )
        if texts and model.implemented:
            found.append(name)
    return found


def right(call: str, abi: str) -> Question:
    """Arguments with which the call might succeed."""
    return tuple(_values(call, argument)[0] for argument in syscall(call, abi).arguments)


def questions(call: str, abi: str, *, part: int = 8) -> list[Question]:
    """The call with one argument after the other wrong, and a `part`-th of all pairs of wrong ones;
    where a descriptor may stand for a name, with one after the other wrong of that, too.

    Of two wrong names (or directories) the second may be told first, because what the first leads
    to is nobody's to know before a judgement: such pairs are left out.
    """
    arguments = syscall(call, abi).arguments
    values = [_values(call, argument) for argument in arguments]
    usual = right(call, abi)
    found: dict[Question, None] = {usual: None}
    for base in (usual, _of_a_descriptor(arguments, usual)):
        for place, choices in enumerate(values):
            for word in choices:
                found[*base[:place], word, *base[place + 1 :]] = None
    for first, second in combinations(range(len(values)), 2):
        if _are_two_names(arguments, first, second):
            continue
        for one, other in product(values[first], values[second]):
            words = list(usual)
            words[first], words[second] = one, other
            if zlib.crc32(json.dumps([call, words]).encode()) % part == 0:
                found[tuple(words)] = None
    return [question for question in found if not _is_quirk(call, question)]


def _of_a_descriptor(arguments: Sequence[Argument], usual: Question) -> Question:
    """The question about what a descriptor leads to, without a name, where the call takes that."""
    words = list(usual)
    for each in arguments:
        if each.kind is Kind.PATH and each.null and each.dirfd is not None:
            words[each.index], words[each.dirfd] = "NULL", "FILE"
    return tuple(words)


def _values(call: str, argument: Argument) -> Sequence[Word]:
    name, kind = argument.name, argument.kind
    if kind is Kind.PATH and argument.creates and argument.parent:
        return ["=new", *_NAMES]
    if kind is Kind.FD and (call in _SENDS or call in ("bind", "connect")):
        return _SOCKETS
    if argument.named:
        return ["FILE", "DIR", 99, -1, -100, "PATHFILE"]
    if kind is Kind.FD and call == "inotify_add_watch":
        return ["INOTIFY", "FILE", 99]
    if kind is Kind.STRING:
        return _ATTRIBUTES if "attr" in call else _TEXTS
    if kind is Kind.STRUCT:
        return _BY_LAYOUT.get(argument.layout, ["BUF"])
    if call in _SENDS and kind is Kind.FLAGS:
        return [0, 0x40]
    if call in _SENDS and name == "buff":
        return ["BUF"]
    if call in _SENDS and name == "len":
        return [64, 0, 1, 4096]
    if name == "usize":
        size = 16 if "xattr" in call else 24
        return [size, 0, size - 1, size + 1, 32, 4096, 4097, -1]
    if name in _BY_NAME and kind is not Kind.MODE and (name, kind) != ("mask", Kind.FLAGS):
        return _BY_NAME[name]
    return _BY_KIND.get(kind, _SIZES)


def _are_two_names(arguments: Sequence[Argument], *places: int) -> bool:
    """Whether the registers belong to different names, as their texts or their directories."""
    names = [
        each.index
        for place in places
        for each in arguments
        if each.kind is Kind.PATH and place in (each.index, each.dirfd)
    ]
    return len(set(names)) == len(places)


def _is_quirk(call: str, question: Question) -> bool:
    """These forget AT_FDCWD where the name is empty, or take it for one (Linux 6.13 to 6.18)."""
    if call == "fsetxattr":
        return question[0] == -100
    if call not in ("listxattrat", "removexattrat"):
        return False
    return question[0] == -100 and question[1] in ("=", "NULL")

"""The shape of the syscall model: what the arguments of a call are, and what it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from enforcer.condition import Condition


class Kind(StrEnum):
    """What an argument is. Register kinds are decided from the register alone."""

    VALUE = "value"  # a number without a translator (size, offset, timeout...)
    FD = "fd"
    OFLAGS = "oflags"
    MODE = "mode"
    UID = "uid"
    GID = "gid"
    PID = "pid"  # translator pidname
    SIGNAL = "signal"  # translator signame
    COMMAND = "cmd"  # ioctl, fcntl, prctl... command
    PROT = "prot"
    FLAGS = "flags"
    SOCKDOM = "sockdom"
    SOCKTYPE = "socktype"
    POINTER = "pointer"  # memory that no rule judges (buffers, results)
    PATH = "path"  # translator filename
    STRING = "string"
    SOCKADDR = "sockaddr"
    ARGV = "argv"
    STRUCT = "struct"  # a struct that the kernel reads and whose content matters: see `layout`


REGISTER_KINDS = frozenset(
    {
        Kind.VALUE,
        Kind.FD,
        Kind.OFLAGS,
        Kind.MODE,
        Kind.UID,
        Kind.GID,
        Kind.PID,
        Kind.SIGNAL,
        Kind.COMMAND,
        Kind.PROT,
        Kind.FLAGS,
        Kind.SOCKDOM,
        Kind.SOCKTYPE,
    }
)


class Follow(StrEnum):
    """Whether the last component of a path is followed when it is a symbolic link."""

    ALWAYS = "always"
    NEVER = "never"
    UNLESS_FLAG = "unless-flag"  # followed unless `follow_flag` is set in the flags argument
    IF_FLAG = "if-flag"  # followed only if `follow_flag` is set
    OPEN = "open"  # by open flags: O_NOFOLLOW, or O_CREAT|O_EXCL, or struct open_how


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument. `index` is its register (0 to 5) for the native calling convention.

    For PATH: `dirfd` is the register of the directory descriptor (None: relative to cwd);
    `follow_argument` the register that holds the flags named by `follow_flag`;
    `empty_flag` the flag (in that register) that lets an empty path mean the descriptor
    (AT_EMPTY_PATH); `creates` whether the call may bring the name into being;
    `parent` whether the call acts on the directory entry, not on the object (unlink, rename,
    mkdir). For SOCKADDR and STRUCT: `length` is the register of the length in bytes (None: fixed
    or within the struct); `layout` names the struct (open_how, clone_args, msghdr, iovec...).
    For FD: `named` whether the object that the descriptor is of is a file name, too.
    `width32` says that the kernel takes the argument as 32 bits or fewer; `width` is their exact
    number (64, 32, or 16: modes, and the user ids of old calls), `mask` those bits.
    A STRING with `length` need not end in a zero byte. `empty`: an empty path means the
    descriptor without any flag (readlinkat). `null`: so does a null pointer, and no flag goes with
    it (do_utimes). `nullable`: a null pointer stands for an empty path where `empty_flag` permits
    one (getname_maybe_null, since Linux 6.11). `opened`: what an empty path means must be open, not
    by O_PATH (fdget, where others take what fd_raw does).
    A PATH whose layout is `file_handle` is no text at all: nothing can translate it. A SOCKADDR
    of a call that belongs to an alias by memory (bind) is a filename too if it names a path.
    """

    index: int
    name: str
    kind: Kind
    width: int = 64
    dirfd: int | None = None
    follow: Follow = Follow.ALWAYS
    follow_argument: int | None = None
    follow_flag: int = 0
    empty_flag: int = 0
    creates: bool = False
    parent: bool = False
    length: int | None = None
    layout: str = ""
    empty: bool = False
    null: bool = False
    nullable: bool = False
    opened: bool = False
    named: bool = False

    @property
    def is_name(self) -> bool:
        """Whether rules see a file name of it."""
        return self.named or self.kind is Kind.PATH

    @property
    def width32(self) -> bool:
        return self.width <= 32

    @property
    def mask(self) -> int:
        return (1 << self.width) - 1


@dataclass(frozen=True, kw_only=True)
class Membership:
    """The call belongs to `alias` when `when` holds; `when` None means that it depends on memory.

    openat belongs to fsread when its flags register says read-only, else to fswrite.
    """

    alias: str
    when: Condition | None


@dataclass(frozen=True, kw_only=True)
class Remapping:
    """A call changes what is mapped at an address of the caller's, or its protection.

    `start` is the register of the address, `length` that of the size in bytes (None: no register
    says it). Where `when` does not hold, the kernel ignores the address or only looks there for
    free room.
    """

    start: int
    length: int | None
    when: Condition


@dataclass(frozen=True, kw_only=True)
class Move:
    """Where `when` holds, a call brings the object of file name number `old` under that of `new`.

    With the object comes all that lies beneath it. Both count the call's file names from 0.
    """

    old: int
    new: int
    when: Condition


@dataclass(frozen=True, kw_only=True)
class Node:
    """A call makes a file of the type in register `mode`, a device's with number `device`."""

    mode: int
    device: int


@dataclass(frozen=True, kw_only=True)
class Syscall:
    """What is known of one system call: on one ABI, or (asked without one) on most of them.

    `translators` are the translators' names in argument order, as rules see them; what stands in a
    struct (LAYOUT_TRANSLATORS) is read from memory.
    `equivalents` do the same thing by another name. A `carrier` (io_uring) performs other calls
    unseen by any filter. `acts_on_caller` marks calls that nobody can do for the caller
    (chdir, execve, mount, umask...). A number that is not `implemented` fails in every kernel of
    the table.
    """

    name: str
    arguments: tuple[Argument, ...]
    aliases: tuple[Membership, ...] = ()
    remaps: tuple[Remapping, ...] = ()
    moves: tuple[Move, ...] = ()
    node: Node | None = None
    equivalents: frozenset[str] = frozenset()
    carrier: bool = False
    acts_on_caller: bool = False
    returns_fd: bool = False
    implemented: bool = True

    @property
    def gives_names(self) -> bool:
        """Whether what is there already may get another name by it."""
        return bool(self.moves) or self.node is not None

    @property
    def translators(self) -> tuple[str, ...]:
        found: list[str] = []
        for argument in self.arguments:
            if argument.kind in TRANSLATOR_OF:
                found.append(TRANSLATOR_OF[argument.kind])
            if argument.named:
                found.append("filename")
            found.extend(LAYOUT_TRANSLATORS.get(argument.layout, ()))
        return tuple(found)


TRANSLATOR_OF: dict[Kind, str] = {
    Kind.FD: "fd",
    Kind.OFLAGS: "oflags",
    Kind.MODE: "mode",
    Kind.UID: "uid",
    Kind.GID: "gid",
    Kind.PID: "pidname",
    Kind.SIGNAL: "signame",
    Kind.COMMAND: "cmd",
    Kind.PROT: "prot",
    Kind.FLAGS: "flags",
    Kind.SOCKDOM: "sockdom",
    Kind.SOCKTYPE: "socktype",
    Kind.PATH: "filename",
    Kind.STRING: "string",
    Kind.SOCKADDR: "sockaddr",
    Kind.ARGV: "argv",
}

LAYOUT_TRANSLATORS: dict[str, tuple[str, ...]] = {
    "open_how": ("oflags", "mode"),
    "clone_args": ("flags",),
    "msghdr": ("sockaddr",),
    "mmsghdr": ("sockaddr",),
    "mmap_arg_struct": ("prot", "flags", "fd"),
}

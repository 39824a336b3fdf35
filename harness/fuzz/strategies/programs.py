"""Programs of calls for the live property, in which later calls depend on earlier ones.

A seed chooses: calls on names of the world, on descriptors that earlier calls may have given, from
directories that were changed to, by tasks that were made on the way.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from socket import SOCK_NONBLOCK

from enforcer.syscalls.translate import CONSTANTS
from harness.fuzz.steps import (
    Argument,
    FileName,
    Operation,
    Result,
    Slot,
    Space,
    Step,
    Struct,
    Text,
)
from harness.fuzz.worlds import ROOT

LEAVES = (
    *("a", "b", "link", "hard", "sub", "sub/c", "sub/deep", "sub/deep/d", "up/c", "far/c", "gone"),
    *("sub/../a", ".//b", "sub/./c", "fifo", "sock", "new", "sub/new", "empty", "empty/x", "far"),
    *("up/../a", "sub/again", "none/x", "loop", ".", "..", "sub/", "prog", "new/x"),
)
MOST_TASKS = 6
MOST_DESCRIPTORS = 40
POINTERS = (0, 1, 4095, 1 << 47, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1)
SIZES = (0, 1, 8, 23, 25, 4097, 1 << 31, 1 << 32, (1 << 64) - 1)
_AT_FDCWD = -100
_NOWHERE = -1
_MODES = (0o600, 0o644, 0o700, 0o755)
_ACCESS = ("O_RDONLY", "O_RDONLY", "O_WRONLY", "O_RDWR")
_OPEN_BITS = ("O_CREAT", "O_TRUNC", "O_APPEND", "O_EXCL", "O_DIRECTORY", "O_NOFOLLOW", "O_PATH")
THREAD = ("CLONE_VM", "CLONE_FS", "CLONE_FILES", "CLONE_SIGHAND", "CLONE_THREAD")
_SIGCHLD = 17
_DONTWAIT = 0x4040  # and MSG_NOSIGNAL
_AT_REMOVEDIR = 0x200
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_SYMLINK_FOLLOW = 0x400


def program(seed: int, count: int, near: Sequence[int], blocks: bool) -> tuple[Step, ...]:
    """`count` steps; registers of some are next to those of a policy, `near`.

    `blocks`: the world has objects that make a creat() wait, so that there are none.
    """
    return _Writer(seed, near, blocks).write(count)


def flags(*names: str) -> int:
    """The bits of constants by their names."""
    return sum(CONSTANTS[name] for name in names)


class _Writer:
    def __init__(self, seed: int, near: Sequence[int], blocks: bool) -> None:
        self.blocks = blocks
        self.chance = random.Random(seed)
        self.near = tuple(near)
        self.steps: list[Step] = []
        self.tasks = [0]
        self.made = 1
        self.descriptors: list[Result] = []
        self.sockets: list[Result] = []
        self.waiting: list[tuple[int, int, Result]] = []
        self.kinds: tuple[Callable[[], None], ...] = (
            *([self.open] * 6),
            *([self.look] * 5),
            *([self.change] * 6),
            *([self.use] * 6),
            *([self.registers] * 4),
            *(self.directory, self.directory, self.close, self.close),
            *(self.socket, self.address, self.address, self.pass_descriptor),
            *(self.task, self.execute, self.odd),
        )

    def write(self, count: int) -> tuple[Step, ...]:
        while len(self.steps) < count:
            self.chance.choice(self.kinds)()
        return tuple(self.steps[:count])

    def add(
        self,
        call: str,
        *args: Argument,
        names: tuple[FileName, ...] = (),
        operation: Operation = Operation.CALL,
        task: int | None = None,
    ) -> Result:
        by = self.chance.choice(self.tasks) if task is None else task
        self.steps.append(Step(by, call, args, operation, names))
        return Result(len(self.steps) - 1)

    def name(self) -> Text:
        leaf = self.chance.choice(LEAVES)
        draw = self.chance.random()
        if draw < 0.45:
            return Text(f"{ROOT}/{leaf}")
        if draw < 0.5:
            return Text(f"/proc/self/cwd/{leaf}")
        if draw < 0.53:
            return Text(f"/proc/self/root{ROOT}/{leaf}")
        return Text(leaf)

    def descriptor(self) -> Argument:
        if not self.descriptors or self.chance.random() < 0.05:
            return self.chance.choice((_NOWHERE, 3, 4))
        return self.chance.choice(self.descriptors[-MOST_DESCRIPTORS:])

    def at(self) -> Argument:
        return _AT_FDCWD if self.chance.random() < 0.5 else self.descriptor()

    def word(self) -> int:
        words = (*self.near, 0, 1, 2, 0x5412, 1 << 32 | 1, self.chance.getrandbits(64))
        return self.chance.choice(words)

    def mode(self) -> int:
        return self.chance.choice(_MODES)

    def open(self) -> None:
        bits = {"O_NONBLOCK"} | {bit for bit in _OPEN_BITS if self.chance.random() < 0.15}
        if "O_PATH" in bits:
            bits -= {"O_CREAT", "O_TRUNC", "O_APPEND", "O_EXCL"}
        how = flags(*bits) | CONSTANTS[self.chance.choice(_ACCESS)]
        creates = "O_CREAT" in bits
        follows = "O_NOFOLLOW" not in bits and not (creates and "O_EXCL" in bits)
        mode = self.mode() if creates else 0
        draw = self.chance.randrange(8)
        if draw < 4:
            names = (FileName(1, 0, follows),)
            found = self.add("openat", self.at(), self.name(), how, mode, names=names)
        elif draw < 6:
            found = self.add("open", self.name(), how, mode, names=(FileName(0, -1, follows),))
        elif draw < 7 or self.blocks:
            opening = Struct((how, mode, 0))
            names = (FileName(1, 0, follows),)
            found = self.add("openat2", self.at(), self.name(), opening, 24, names=names)
        else:
            found = self.add("creat", self.name(), self.mode(), names=(FileName(0),))
        self.descriptors.append(found)

    def look(self) -> None:
        name, at = self.name(), self.at()
        first, second = (FileName(0),), (FileName(1, 0),)
        link, link_at = (FileName(0, -1, False),), (FileName(1, 0, False),)
        draw = self.chance.randrange(9)
        if draw == 0:
            self.add("access", name, 4, names=first)
        elif draw == 1:
            self.add("faccessat", at, name, 4, names=second)
        elif draw == 2:
            self.add("stat", name, Space(144), names=first)
        elif draw == 3:
            self.add("lstat", name, Space(144), names=link)
        elif draw == 4:
            self.add("newfstatat", at, name, Space(144), 0, names=second)
        elif draw == 5:
            self.add("statx", at, name, _AT_SYMLINK_NOFOLLOW, 0x7FF, Space(256), names=link_at)
        elif draw == 6:
            self.add("readlink", name, Space(128), 128, names=link)
        elif draw == 7:
            self.add("readlinkat", at, name, Space(128), 128, names=link_at)
        else:
            self.add("faccessat2", at, name, 4, _AT_SYMLINK_NOFOLLOW, names=link_at)

    def change(self) -> None:
        name, other, at = self.name(), self.name(), self.at()
        entry, entry_at = (FileName(0, -1, False),), (FileName(1, 0, False),)
        two = (FileName(0, -1, False), FileName(1, -1, False))
        two_at = (FileName(1, 0, False), FileName(3, 2, False))
        draw = self.chance.randrange(20)
        if draw == 0:
            self.add("mkdir", name, self.mode(), names=entry)
        elif draw == 1:
            self.add("mkdirat", at, name, self.mode(), names=entry_at)
        elif draw == 2:
            self.add("rmdir", name, names=entry)
        elif draw == 3:
            self.add("unlink", name, names=entry)
        elif draw == 4:
            removing = self.chance.choice((0, _AT_REMOVEDIR))
            self.add("unlinkat", at, name, removing, names=entry_at)
        elif draw == 5:
            self.add("rename", name, other, names=two)
        elif draw == 6:
            self.add("renameat", at, name, self.at(), other, names=two_at)
        elif draw == 7:
            how = self.chance.choice((0, 1, 2))
            self.add("renameat2", at, name, self.at(), other, how, names=two_at)
        elif draw == 8:
            self.add("link", name, other, names=two)
        elif draw == 9:
            follow = self.chance.random() < 0.3
            names = (FileName(1, 0, follow), FileName(3, 2, False))
            how = _AT_SYMLINK_FOLLOW if follow else 0
            self.add("linkat", at, name, self.at(), other, how, names=names)
        elif draw == 10:
            self.add("symlink", self.name(), other, names=(FileName(1, -1, False),))
        elif draw == 11:
            self.add("symlinkat", self.name(), at, other, names=(FileName(2, 1, False),))
        elif draw in (12, 13):
            self.add("chmod", name, self.mode(), names=(FileName(0),))
        elif draw == 14:
            self.add("fchmodat", at, name, self.mode(), names=(FileName(1, 0),))
        elif draw == 15:
            self.add("truncate", name, self.chance.randrange(9), names=(FileName(0),))
        elif draw == 16:
            self.add("mknod", name, 0o100644, 0, names=entry)
        elif draw == 17:
            self.add("chown", name, 0, self.chance.choice((0, 1000)), names=(FileName(0),))
        elif draw == 18:
            owner = self.chance.choice((0, 1000))
            self.add("fchownat", at, name, owner, -1, _AT_SYMLINK_NOFOLLOW, names=entry_at)
        else:
            self.add("utimensat", at, name, 0, 0, names=(FileName(1, 0),))

    def use(self) -> None:
        descriptor = self.descriptor()
        draw = self.chance.randrange(8)
        if draw < 2:
            self.add("read", descriptor, Space(64), 64)
        elif draw == 2:
            self.add("write", descriptor, Text("written"), self.chance.randrange(8))
        elif draw == 3:
            self.add("pread64", descriptor, Space(64), 64, self.chance.randrange(4))
        elif draw == 4:
            self.add("fchmod", descriptor, self.mode())
        elif draw == 5:
            self.add("ftruncate", descriptor, self.chance.randrange(9))
        elif draw == 6:
            self.descriptors.append(self.add("dup", descriptor))
        else:
            self.add("fstat", descriptor, Space(144))

    def close(self) -> None:
        if self.descriptors:
            place = self.chance.randrange(len(self.descriptors))
            self.add("close", self.descriptors[place])
            if self.chance.random() < 0.8:
                del self.descriptors[place]

    def directory(self) -> None:
        draw = self.chance.randrange(4)
        if draw == 0:
            self.add("fchdir", self.descriptor())
        elif draw == 1:
            self.add("getcwd", Space(256), 256)
        else:
            self.add("chdir", self.name(), names=(FileName(0),))

    def registers(self) -> None:
        call = self.chance.choice(("ioctl", "fcntl", "lseek", "getppid", "madvise"))
        first = self.word() if call == "getppid" else _NOWHERE
        self.add(call, first, self.word(), self.word())

    def socket(self) -> None:
        if len(self.sockets) >= MOST_DESCRIPTORS // 2:
            self.add("close", self.sockets.pop(0))
        family = self.chance.choice(("AF_UNIX", "AF_UNIX", "AF_INET"))
        kind = self.chance.choice(("SOCK_DGRAM", "SOCK_STREAM"))
        how = flags(kind) | SOCK_NONBLOCK
        self.sockets.append(self.add("socket", flags(family), how, 0))

    def address(self) -> None:
        if not self.sockets:
            self.socket()
        socket = self.chance.choice(self.sockets)
        if self.chance.random() < 0.7:
            leaf = self.chance.choice(("sock", "new", "a", "sub/new", "none"))
            prefix = "" if self.chance.random() < 0.5 else f"{ROOT}/"
            raw = unix_address(prefix + leaf)
        else:
            port = self.chance.choice((80, 8080))
            raw = Struct((), struct.pack("=H", 2) + struct.pack("!H4s8x", port, b"\x7f\0\0\1"))
        size = len(raw.tail)
        draw = self.chance.randrange(4)
        if draw == 0:
            self.add("bind", socket, raw, size)
        elif draw == 1:
            self.add("connect", socket, raw, size)
        elif draw == 2:
            self.add("sendto", socket, Text("sent"), 4, _DONTWAIT, raw, size)
        else:
            self.add("listen", socket, 4)

    def pass_descriptor(self) -> None:
        """A descriptor through a pair of sockets, from one task to another."""
        pair = Slot(1)
        descriptor = self.descriptor()
        task = self.chance.choice(self.tasks)
        self.add("socketpair", 1, flags("SOCK_DGRAM") | SOCK_NONBLOCK, 0, pair, task=task)
        ends = [
            self.add("load", Slot(1, 4 * end), operation=Operation.LOAD, task=task)
            for end in (0, 1)
        ]
        self.add("store", Slot(2, 16), descriptor, operation=Operation.STORE, task=task)
        self.steps.extend(carry(task, ends[0], "sendmsg"))
        self.add("store", Slot(2, 16), _NOWHERE, operation=Operation.STORE, task=task)
        self.steps.extend(carry(task, ends[1], "recvmsg"))
        arrived = self.add("load", Slot(2, 16), operation=Operation.LOAD, task=task)
        self.descriptors.append(arrived)
        for end in ends:
            self.add("close", end, task=task)

    def odd(self) -> None:
        """Addresses that nothing can be read from, and structs of sizes that nobody gives."""
        wrong, size = self.chance.choice(POINTERS), self.chance.choice(SIZES)
        name, at = self.name(), self.at()
        end = self.chance.choice(self.sockets) if self.sockets else _NOWHERE
        draw = self.chance.randrange(8)
        if draw == 0:
            self.add("openat", at, wrong, 0, 0, names=(FileName(1, 0),))
        elif draw == 1:
            how = flags("O_NONBLOCK")
            self.add("openat2", at, name, Struct((how, 0, 0)), size, names=(FileName(1, 0),))
        elif draw == 2:
            self.add("openat2", at, name, wrong, 24, names=(FileName(1, 0),))
        elif draw == 3:
            self.add("sendmsg", end, wrong, _DONTWAIT)
        elif draw == 4:
            message = Struct((0, 0, Slot(3), size, wrong, size, 0))
            self.add(self.chance.choice(("sendmsg", "recvmsg")), end, message, _DONTWAIT)
        elif draw == 5:
            self.add("connect", end, wrong, 16)
        elif draw == 6:
            names = (FileName(0, -1, False), FileName(1, -1, False))
            self.add("rename", *self.chance.choice(((wrong, name), (name, wrong))), names=names)
        else:
            self.add("clone3", wrong, self.chance.choice((0, 63, 64, 88, 4097)))

    def task(self) -> None:
        """A new process or thread; or the end of one, waited for by the one that made it."""
        if self.waiting and (len(self.tasks) >= MOST_TASKS or self.chance.random() < 0.5):
            task, parent, pid = self.waiting.pop()
            self.tasks.remove(task)
            self.add("exit_group", 1, operation=Operation.EXIT, task=task)
            if parent in self.tasks:
                self.add("wait4", pid, 0, 0x40000000, 0, task=parent)
            return
        if len(self.tasks) >= MOST_TASKS or self.made >= 14:
            return
        parent, task = self.chance.choice(self.tasks), self.made
        by_clone3 = self.chance.random() < 0.4
        bits = [bit for bit in ("CLONE_FS", "CLONE_FILES") if self.chance.random() < 0.3]
        if by_clone3 or self.chance.random() < 0.7:
            how = flags(*bits) | _SIGCHLD
        else:
            parent, how = 0, flags(*THREAD)
        call = "clone3" if by_clone3 else "clone"
        pid = self.add(call, how, task, by_clone3, operation=Operation.CLONE, task=parent)
        self.tasks.append(task)
        self.made += 1
        if how & _SIGCHLD and not how & CONSTANTS["CLONE_THREAD"]:
            self.waiting.append((task, parent, pid))

    def execute(self) -> None:
        """A new image of a process that has one thread."""
        alone = [task for task, _, _ in self.waiting]
        if not alone:
            return
        name = Text(self.chance.choice((f"{ROOT}/prog", "prog", f"{ROOT}/sub/../prog", "none")))
        names = (FileName(0),)
        task = self.chance.choice(alone)
        self.add("execve", name, 0, operation=Operation.EXEC, task=task, names=names)


def unix_address(path: str) -> Struct:
    """The address of a socket in the file system."""
    return Struct((), struct.pack("=H", 1) + path.encode() + b"\0")


def carry(task: int, end: Argument, call: str) -> tuple[Step, ...]:
    """sendmsg or recvmsg of one byte and the control message in slot 2."""
    store = Operation.STORE
    control = (
        Step(task, "store", (Slot(2), 20), store),
        Step(task, "store", (Slot(2, 4), 0), store),
        Step(task, "store", (Slot(2, 8), 1), store),
        Step(task, "store", (Slot(2, 12), 1), store),
    )
    message = Struct((0, 0, Slot(3, 0), 1, Slot(2), 24, 0))
    vector = (
        Step(task, "store", (Slot(3), Slot(4)), store),
        Step(task, "store", (Slot(3, 4), 0), store),
        Step(task, "store", (Slot(3, 8), 1), store),
        Step(task, "store", (Slot(3, 12), 0), store),
    )
    before = (*control, *vector) if call == "sendmsg" else vector
    return (*before, Step(task, call, (end, message, _DONTWAIT)))
